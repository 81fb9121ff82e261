"""report.html: one page that stands alone, with no script and nothing fetched."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cxr.files import write_text
from cxr.types import NORMAL, PNEUMONIA
from evaluation.config import DISCLAIMER
from evaluation.drawing import PHANTOM_NOTE, is_phantom
from evaluation.metrics import FIGURES

SUBGROUP_FIGURES = ("roc_auc", "accuracy", "sensitivity", "specificity")

PLOTS = {
    "roc.png": (
        "ROC curve",
        "Sensitivity against the false positive rate over all thresholds; the dot is the operating point.",
    ),
    "precision_recall.png": (
        "Precision-recall curve",
        "The dashed line is the prevalence among these films, which a model without skill would reach.",
    ),
    "confusion.png": ("Confusion matrix", "Counts, and their share of the films of that true class."),
    "reliability.png": (
        "Calibration",
        "On the diagonal, films that were given a probability of 0.8 have pneumonia in 80% of cases.",
    ),
    "scores.png": (
        "Scores by true class",
        "How the probabilities of normal and pneumonia films lie about the threshold; counts on a log scale.",
    ),
    "sample_grid.png": (
        "Films as the model sees them, with truth and prediction",
        "The most confident errors first, then a random sample of the other films.",
    ),
    "training_curves.png": ("Training curves", "Loss, validation figures and learning rate by epoch."),
}
"""File name -> (title, caption)."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark;
  --ink: #1b1b1b; --soft: #555; --page: #fff; --line: #d5d5d5; --shade: #f3f5f7; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --soft: #b5b5b5; --page: #16181b; --line: #3c4046; --shade: #22262b; }
}
body { margin: 0 auto; padding: 1rem; max-width: 60rem; color: var(--ink); background: var(--page);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1, h2 { line-height: 1.25; } h2 { margin-top: 2.5rem; }
.notice { padding: .75rem 1rem; border-left: .3rem solid #d55e00; background: var(--shade);
  font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; min-width: 60%; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem; border-bottom: 1px solid var(--line); }
td { overflow-wrap: anywhere; } td:not(.number) { min-width: 9rem; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
thead th { background: var(--shade); }
figure { margin: 1.5rem 0; } figcaption { color: var(--soft); }
img { max-width: 100%; height: auto; background: #fff; border-radius: .4rem; }
img.wide { min-width: 46rem; }
@media (min-width: 50rem) { .plots { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1.5rem; }
  .plots .whole { grid-column: 1 / -1; } }
""".strip()


def write_report(
    path: Path, metrics: Mapping[str, Any], plots_folder: Path, context: Mapping[str, Any]
) -> None:
    """Write the report of one evaluation.

    metrics: what metrics.json holds; plots_folder: those of PLOTS that are in it are shown; context:
    "trained_on", what is known of the model's training data, or "", and "worst_errors", mappings with the
    fields of Answer, worst first. All text that comes from outside is escaped.
    """
    sections = [
        _model_and_data(metrics, context),
        _figures(metrics),
        _decisions(metrics),
        _groups("Subgroups", "Pneumonia", metrics["subgroups"], _OF_SUBTYPES),
        _groups("Sources", "Source", metrics.get("per_source", {}), _OF_SOURCES),
        _plots(plots_folder),
        _worst_errors(context["worst_errors"], metrics),
        *_audit(metrics),
        _method(metrics),
    ]
    write_text(path, _page(metrics, "\n".join(section for section in sections if section)))


def _page(metrics: Mapping[str, Any], body: str) -> str:
    title = escape(f"Evaluation of {metrics['model']['source']} on {metrics['data']['id']}")
    notice = (
        DISCLAIMER
        if not is_phantom(metrics)
        else f"{DISCLAIMER} {PHANTOM_NOTE}: the figures say nothing of patients."
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{_STYLE}
</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="notice">{escape(notice)}</p>
</header>
<main>
{body}
</main>
</body>
</html>
"""


def _model_and_data(metrics: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    model, data, decision = metrics["model"], metrics["data"], metrics["decision"]
    rows = [
        ("Model", model["source"]),
        ("Model revision", model.get("revision", "")),
        ("Model version", model["version"] or "none: a bare model file"),
        ("Model sha256", model["sha256"]),
        ("Trained on", context["trained_on"] or "not recorded with the model"),
        ("Threshold", f"{metrics['threshold']:.4f}: {decision['rule']}"),
        ("Data", data["id"]),
        ("Data revision", data["revision"]),
        ("Split", data["split"]),
        ("Films", _count_films(metrics)),
        *(("Note on the data", note) for note in data["notes"]),
    ]
    cells = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in rows
        if value
    )
    return _section("Model and data", _table("What was evaluated, and on what", "", cells))


def _count_films(metrics: Mapping[str, Any]) -> str:
    return (
        f"{metrics['n']:,}: {metrics['n_normal']:,} normal and {metrics['n_pneumonia']:,} pneumonia, of "
        f"{metrics['n_groups']:,} patient groups; prevalence {metrics['n_pneumonia'] / metrics['n']:.1%}"
    )


def _figures(metrics: Mapping[str, Any]) -> str:
    head = _row(["Figure", "Value", "95% interval", "What it says"], "th", (1, 2))
    rows = "\n".join(
        _row([name, _value(metrics[key]), _interval(metrics[key]), meaning], "td", (1, 2))
        for key, (name, meaning) in FIGURES.items()
    )
    caption = f"Figures of {metrics['n']:,} films at threshold {metrics['threshold']:.4f}"
    return _section("Figures", _table(caption, head, rows))


def _decisions(metrics: Mapping[str, Any]) -> str:
    cells, uncertain = metrics["confusion"], metrics["uncertain"]
    head = _row(["Truth", f"called {NORMAL}", f"called {PNEUMONIA}"], "th", (1, 2))
    rows = "\n".join(
        _row(
            [name, _count(cells[no], cells[no] + cells[yes]), _count(cells[yes], cells[no] + cells[yes])],
            "td",
            (1, 2),
        )
        for name, no, yes in ((NORMAL, "tn", "fp"), (PNEUMONIA, "fn", "tp"))
    )
    rest = uncertain["accuracy_of_the_rest"]
    refused = metrics["refused"]
    band = (
        f"{uncertain['n']:,} films ({uncertain['share']:.1%}) were called UNCERTAIN; accuracy of the rest: "
        f"{'undefined' if rest is None else f'{rest:.3f}'}. The table and all figures above leave "
        "the uncertain band aside and go by the threshold alone. The input gate would refuse "
        f"{refused['n']:,} of the films ({refused['share']:.1%}); they count here all the same."
    )
    table = _table("Confusion matrix: films, and their share of the row", head, rows)
    return _section("Decisions", f"{table}\n<p>{escape(band)}</p>")


def _count(count: int, of: int) -> str:
    return f"{count:,} ({count / of:.1%})" if of else f"{count:,}"


_OF_SUBTYPES = "All normal films against the pneumonia films of one kind; value and 95% interval"
_OF_SOURCES = "The films of each source by themselves; value and 95% interval"


def _groups(title: str, what: str, groups: Mapping[str, Any], caption: str) -> str:
    """A table with a row for each group of films; nothing where there is none."""
    if not groups:
        return ""
    names = [FIGURES[key][0] for key in SUBGROUP_FIGURES]
    numbers = tuple(range(1, len(names) + 2))
    head = _row([what, "Films", *names], "th", numbers)
    rows = "\n".join(
        _row(
            [
                name,
                f"{group['n_normal']:,} + {group['n_pneumonia']:,}",
                *(f"{_value(group[key])}\n{_interval(group[key])}" for key in SUBGROUP_FIGURES),
            ],
            "td",
            numbers,
        )
        for name, group in groups.items()
    )
    return _section(title, _table(caption, head, rows))


def _plots(folder: Path) -> str:
    shown = [_figure(folder / name, *words) for name, words in PLOTS.items() if (folder / name).is_file()]
    return _section("Plots", '<div class="plots">\n' + "\n".join(shown) + "\n</div>") if shown else ""


def _figure(path: Path, title: str, caption: str) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    wide = path.name == "sample_grid.png"
    kinds = (' class="whole"', ' class="wide"') if wide else ("", "")
    return (
        f"<figure{kinds[0]}>\n"
        f'<div class="scroll"><img{kinds[1]} alt="{escape(f"{title}. {caption}")}" '
        f'src="data:image/png;base64,{content}"></div>\n'
        f"<figcaption><strong>{escape(title)}.</strong> {escape(caption)}</figcaption>\n</figure>"
    )


def _worst_errors(errors: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any]) -> str:
    total = metrics["confusion"]["fp"] + metrics["confusion"]["fn"]
    if not total:
        return _section("Worst errors", "<p>No film is on the wrong side of the threshold.</p>")
    head = _row(["File", "Truth", "P(PNEUMONIA)", "Decision"], "th", (2,))
    rows = "\n".join(
        _row(
            [row["file"], _truth(row), f"{row['probability']:.4f}", row["decision"] or "refused"], "td", (2,)
        )
        for row in errors
    )
    caption = f"The {len(errors):,} most confident of {total:,} errors at the threshold; worst first"
    return _section("Worst errors", _table(caption, head, rows))


def _truth(row: Mapping[str, Any]) -> str:
    return f"{row['truth']} ({row['subtype']})" if row["subtype"] else str(row["truth"])


VIEW_NAMES = {
    "as_is": "the films as they are",
    "mirrored": "mirrored left to right",
    "border_blanked": "outer tenth blanked",
    "outside_lungs_greyed": "all outside the lungs' region greyed",
    "lungs_greyed": "the lungs' region greyed",
    "blurred": "blurred by one pixel",
}
BASELINE_NAMES = {
    "exposure_and_sharpness": "16 numbers of exposure and sharpness",
    "geometry": "width, height and aspect ratio of the file",
}
POINTED_NAMES = {
    "planted_in_normal_films": "opacity planted in a normal film",
    "phantoms": "phantoms with an opacity",
}


def _audit(metrics: Mapping[str, Any]) -> list[str]:
    """The sections of the audit, where there was one."""
    found = metrics.get("audit")
    return [_shortcuts(found), _maps(found["maps"])] if found else []


def _shortcuts(found: Mapping[str, Any]) -> str:
    """What the label can be told by without lungs, and what the model makes of films that lack something."""
    columns = {"roc_auc": "ROC AUC", "sensitivity": "Sensitivity", "specificity": "Specificity"}
    table = _plain_table(
        "The model on changed films, at its own threshold",
        ["Films", *columns.values()],
        [
            [VIEW_NAMES[name], *(_plain(figures[key]) for key in columns)]
            for name, figures in found["views"].items()
        ],
    )
    lines = [
        f"Boosted trees on {BASELINE_NAMES[name]}, fitted on the train split, reach an AUC of {auc:.3f} here: "
        "what a model without anatomy reaches is there for this model to use, too."
        for name, auc in found["baselines"].items()
        if auc is not None
    ]
    lines.append("With the lungs' region greyed, an AUC well above 0.5 is made of what surrounds the lungs.")
    return _section("Shortcut audit", "\n".join([table, *(f"<p>{escape(line)}</p>" for line in lines)]))


def _maps(maps: Mapping[str, Any]) -> str:
    """Whether the evidence map shows what was planted, and goes with the weights."""
    columns = {
        "hit_rate": "Peak on the opacity",
        "hit_rate_of_change": "Peak of what it changed",
        "chance": "By chance",
        "called": "Called PNEUMONIA",
        "hit_rate_where_called": "Peak on it, of those",
    }
    table = _plain_table(
        "The pointing game: is the map's highest place on the opacity, give or take half a cell?",
        ["Films", "n", *columns.values()],
        [
            [name, f"{maps[key]['n']:,}", *(_plain(maps[key][figure]) for figure in columns)]
            for key, name in POINTED_NAMES.items()
        ],
    )
    body, randomised = table, maps["randomised_weights"]
    if randomised:
        line = (
            "Maps of the same network with random weights correlate with these by "
            f"{_plain(randomised['correlation'])} (mean of absolute values over {randomised['n']:,} films)."
        )
        body += f"\n<p>{escape(line)}</p>"
    return _section("Do the maps show it?", body)


def _plain_table(caption: str, head: list[str], rows: list[list[str]]) -> str:
    """A table whose cells are numbers, but for the first column."""
    numbers = tuple(range(1, len(head)))
    body = "\n".join(_row(row, "td", numbers) for row in rows)
    return _table(caption, _row(head, "th", numbers), body)


def _plain(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _method(metrics: Mapping[str, Any]) -> str:
    bootstrap = metrics["bootstrap"]
    if not bootstrap["resamples"]:
        return _section("How the intervals were made", "<p>No intervals were asked for.</p>")
    paragraphs = [
        f"Patient groups, not films, were drawn with replacement {bootstrap['resamples']:,} times (seed "
        f"{bootstrap['seed']}), since films of one patient resemble each other. An interval runs from the "
        "2.5th to the 97.5th percentile of the figure over these resamples; resamples in which a figure is "
        "undefined were left out for it.",
        "The intervals tell how much chance there is in the choice of these patients. They do not cover "
        "another hospital, another age, another scanner, or a model chosen by looking at these films.",
        "Where a figure is exactly 0 or 1, resampling cannot move it, and the interval has no width: read "
        "that as too few films to say. The calibration error grows when films are drawn twice, so that its "
        "interval lies somewhat too high.",
        "Every figure can be computed again from predictions.csv.",
    ]
    return _section("How the intervals were made", "\n".join(f"<p>{escape(text)}</p>" for text in paragraphs))


def _value(figure: Mapping[str, Any]) -> str:
    return "undefined" if figure["value"] is None else f"{figure['value']:.3f}"


def _interval(figure: Mapping[str, Any]) -> str:
    return f"{figure['ci95'][0]:.3f} to {figure['ci95'][1]:.3f}" if figure["ci95"] else ""


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


def _table(caption: str, head: str, rows: str) -> str:
    top = f"<thead>\n{head}\n</thead>\n" if head else ""
    return (
        f'<div class="scroll"><table>\n<caption>{escape(caption)}</caption>\n'
        f"{top}<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _row(cells: Iterable[str], tag: str, numbers: tuple[int, ...]) -> str:
    """One table row; the first cell heads it, cells in `numbers` are aligned to the right."""
    shown = []
    for index, cell in enumerate(cells):
        scope = ' scope="col"' if tag == "th" else ' scope="row"' if index == 0 else ""
        kind = "th" if scope else tag
        style = ' class="number"' if index in numbers else ""
        shown.append(f"<{kind}{scope}{style}>{escape(cell).replace(chr(10), '<br>')}</{kind}>")
    return "<tr>" + "".join(shown) + "</tr>"
