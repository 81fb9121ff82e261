"""The one-page report of a reading: one HTML file that needs nothing else, for the screen and for one sheet of A4.

The server makes its words and figures; the browser, which has the film, puts the pictures in. So no film is kept
for it, and no file of it is ever written here. It holds no patient's data and no file name.
"""

from datetime import UTC, datetime
from html import escape
from pathlib import Path

from ui import panels
from ui.reading import Reading, scale_of
from ui.text import Language, say_html

FILM_PLACE, HEAT_PLACE, RATIO_PLACE = "place-of-the-film", "place-of-the-heat-map", "place-of-the-ratio"
"""What the browser replaces by the pictures, and by their width over their height."""
_STYLES = [Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("scale.css", "report.css")]


def report(
    reading: Reading, language: Language, stated: float | None, opacity: float, moment: datetime | None = None
) -> str:
    """The report of an accepted film. stated: as in `panels.result`; opacity: of the heat map, 0 to 1."""
    when = (moment or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    prediction = reading.prediction
    shown = scale_of(reading, stated)
    probability = panels.probability_line(reading, shown, language)
    synthetic = f'<p class="strip">{say_html("report.example", language)}</p>' if reading.source else ""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{say_html('report.title', language)}</title><style>{''.join(_STYLES)}</style></head>"
        f'<body style="--heat:{opacity:.2f};--ratio:{RATIO_PLACE}"><main>'
        f"<header><h1>{say_html('report.title', language)}</h1><span>{when}</span></header>"
        f'<p class="notice">{say_html("report.notice", language)}</p>{synthetic}'
        f'<div class="pictures">{_picture("report.film", language, heat=False)}'
        f"{_picture('report.map', language, heat=True)}</div>"
        f'<section class="reading" data-label="{prediction.label}">'
        f'<p class="decision">{say_html(f"decision.{prediction.label}", language)}</p>'
        f'<p class="plain">{say_html(f"meaning.{prediction.label}", language)}</p>'
        f"{panels.truth(reading, language)}{probability}{panels.scale(shown, language)}"
        f"{panels.scale_notes(reading, shown, language)}"
        f"{panels.warnings(prediction.warnings, language)}{panels.facts(reading, language)}</section>"
        f"{panels.caption(reading, language)}"
        f"<footer>{' '.join(say_html(f'limits.{row}', language) for row in (1, 2, 3))}</footer>"
        "</main></body></html>"
    )


def _picture(key: str, language: Language, heat: bool) -> str:
    name = say_html(key, language)
    layer = f'<img class="heat" src="{escape(HEAT_PLACE)}" alt="">' if heat else ""
    return (
        f'<figure><div class="film"><span><img src="{escape(FILM_PLACE)}" alt="{name}">{layer}</span></div>'
        f"<figcaption>{name}</figcaption></figure>"
    )
