"""python -m trainer.readme: write the figures of bundles/default into README.md and README.es.md.

The table stands between two comments in each file; nothing in it is typed by hand.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxr.cli import run_command
from cxr.errors import UsageError
from cxr.files import write_text
from trainer.card import interval, show

ROOT = Path(__file__).resolve().parent.parent
METRICS = ROOT / "bundles" / "default" / "metrics.json"
BEGIN, END = "<!-- figures of bundles/default: make figures -->", "<!-- end of figures -->"
SHOWN = ("roc_auc", "accuracy", "sensitivity", "specificity", "ece")
WORDS = {
    "README.md": {
        "head": "figure",
        "ours": "official test split, n = {n}",
        "interval": "95% interval",
        "validation": "on validation, n = {n}",
        "roc_auc": "ROC AUC",
        "accuracy": "accuracy",
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        "ece": "expected calibration error",
        "to": " to ",
        "decimal": ".",
        "rest": "Called UNCERTAIN: {share}% of the test films; accuracy on the rest: {accuracy}.",
    },
    "README.es.md": {
        "head": "medida",
        "ours": "partición oficial de prueba, n = {n}",
        "interval": "intervalo del 95 %",
        "validation": "en validación, n = {n}",
        "roc_auc": "AUC ROC",
        "accuracy": "exactitud",
        "sensitivity": "sensibilidad",
        "specificity": "especificidad",
        "ece": "error de calibración esperado",
        "to": " a ",
        "decimal": ",",
        "rest": "UNCERTAIN (incierta): {share} % de las imágenes de prueba; exactitud en el resto: {accuracy}.",
    },
}


def table(metrics: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """The figures as a Markdown table, and a line on the films called UNCERTAIN."""
    validation, uncertain = metrics["validation"], metrics["uncertain"]
    heads = (words["head"], words["ours"].format(n=metrics["n"]), words["interval"])

    def figure(text: str) -> str:
        return text.replace(" to ", words["to"]).replace(".", words["decimal"])

    lines = [
        f"| {' | '.join((*heads, words['validation'].format(n=validation['n'])))} |",
        "|---|---|---|---|",
        *(
            f"| {words[key]} | {figure(show(metrics[key]))} | {figure(interval(metrics[key]))} "
            f"| {figure(show(validation[key]))} |"
            for key in SHOWN
        ),
        "",
        words["rest"].format(
            share=figure(f"{100 * uncertain['share']:.1f}"),
            accuracy=figure(f"{uncertain['accuracy_of_the_rest']:.3f}"),
        ),
    ]
    return "\n".join(lines)


def with_figures(text: str, metrics: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """A README's text with its table written anew. Raises UsageError where the two comments are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UsageError(
            f"the comments {BEGIN} and {END} in the README", "a file without them", "put them back"
        )
    return f"{before}{BEGIN}\n{table(metrics, words)}\n{END}{after}"


def write_readmes() -> None:
    """Write the tables into both files."""
    metrics = json.loads(METRICS.read_text(encoding="utf-8"))
    for name, words in WORDS.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        write_text(ROOT / name, with_figures(text, metrics, words))


if __name__ == "__main__":
    sys.exit(run_command(write_readmes))
