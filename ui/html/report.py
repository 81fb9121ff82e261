"""The one-page report of a reading: one HTML file that needs nothing else, for the screen and for one sheet of A4.

The server makes its words and figures; the browser, which has the film, puts the pictures in. So no film is kept
for it, and no file of it is ever written here. It holds no patient's data and no file name.
"""

from datetime import UTC, datetime

from markupsafe import Markup

from ui.assets import style
from ui.html import panels
from ui.html.reading import Reading
from ui.html.render import render
from ui.words import Locale

FILM_PLACE, HEAT_PLACE = "place-of-the-film", "place-of-the-heat-map"
RATIO_PLACE, OPACITY_PLACE = "place-of-the-ratio", "place-of-the-opacity"
"""What the browser replaces by the pictures, by their width over their height, and by the opacity of the map."""
LIMITS = (1, 2, 3)
"""The limits of the model that every report and the page name, by their keys."""
_STYLES = Markup("").join(Markup(style(name)) for name in ("scale", "report"))  # our own files


def report(reading: Reading, locale: Locale, stated: float | None, moment: datetime | None = None) -> Markup:
    """The report of an accepted film.

    Args:
        reading: Its answer.
        locale: The visitor's.
        stated: The visitor's prevalence in (0, 1), if any.
        moment: When it was read; now, unless given.
    """
    return render(
        "report",
        locale,
        view=panels.view_of(reading, locale, stated),
        caption=panels.caption(reading, locale),
        is_example=bool(reading.source),
        moment=(moment or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        opacity_place=OPACITY_PLACE,
        styles=_STYLES,
        limits=LIMITS,
        film_place=FILM_PLACE,
        heat_place=HEAT_PLACE,
        ratio_place=RATIO_PLACE,
    )
