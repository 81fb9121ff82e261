"""python -m benchmarks.readme: write the figures of bundles/default and of the benchmarks into both READMEs.

Each table stands between two comments; nothing in it is typed by hand.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tyro

from cxr.cli import run_command
from cxr.errors import UsageError
from cxr.files import write_text
from cxr.model.figures import Elsewhere, Figure, Metrics, read_metrics
from trainer.card import interval, plain, show

ROOT = Path(__file__).resolve().parent.parent
METRICS = ROOT / "bundles" / "default" / "metrics.json"
SPEEDS = ROOT / "benchmarks" / "results.json"
BEGIN, END = "<!-- figures of bundles/default: make figures -->", "<!-- end of figures -->"
BEGIN_SPEEDS, END_SPEEDS = "<!-- ratios of make bench: make figures -->", "<!-- end of ratios -->"
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
        "thousand": ",",
        "speed_head": "measured side by side | ours | naive app | empty app | naive / ours | ours / empty",
        "start": "start to the first answer, s",
        "memory": "memory when serving, MB",
        "p50": "`/predict` through gradio_client, median, ms",
        "calls": "calls a second, 8 callers",
        "film": "one film in process, ms",
        "small": "scoring, films a second, 224 px",
        "large": "scoring, films a second, 2000 px",
        "epoch": "epoch of the original's recipe, s",
        "machine": "Machine: {cores} cores ({processor}), Python {python}.",
        "limit": "Scoring reaches {small} of the slower of decoding and network alone at 224 px ({both} of what they "
        "allow together on the same cores), and {large} at 2000 px; {films} films took {peak} MB at most.",
        "step": "An epoch of the default recipe takes {ratio} times as long as its steps by `train_on_batch` alone.",
        "members": "Each of its {n} networks alone, by seed: {figures} (mean, standard deviation).",
        "rest": "Called UNCERTAIN: {share}% of the test films; accuracy on the rest: {accuracy}.",
        "elsewhere": "films of other hospitals (adults) | number | read | normal films read, not called PNEUMONIA | "
        "ROC AUC",
        "pairs": "{source}, pairs alike in exposure and view, on which the model was chosen",
        "map": "The map's peak lies on an opacity planted in a normal film in {hit} of the films (n = {n}); a place "
        "drawn at random in {chance}.",
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
        "thousand": ".",
        "speed_head": "medido en paralelo | nuestro | app ingenua | app vacía | ingenua / nuestro | nuestro / vacía",
        "start": "del arranque a la primera respuesta, s",
        "memory": "memoria al servir, MB",
        "p50": "`/predict` con gradio_client, mediana, ms",
        "calls": "llamadas por segundo, 8 clientes",
        "film": "una imagen en proceso, ms",
        "small": "puntuación, imágenes por segundo, 224 px",
        "large": "puntuación, imágenes por segundo, 2000 px",
        "epoch": "época de la receta original, s",
        "machine": "Máquina: {cores} núcleos ({processor}), Python {python}.",
        "limit": "La puntuación alcanza {small} de lo más lento entre decodificar y calcular por separado a 224 px "
        "({both} de lo que permiten juntos en los mismos núcleos) y {large} a 2000 px; {films} imágenes "
        "ocuparon como mucho {peak} MB.",
        "step": "Una época de la receta por defecto tarda {ratio} veces lo que sus pasos con `train_on_batch`.",
        "members": "Cada una de sus {n} redes por separado, por semilla: {figures} (media, desviación típica).",
        "elsewhere": "imágenes de otros hospitales (adultos) | número | leídas | normales leídas y no llamadas "
        "PNEUMONIA | AUC ROC",
        "pairs": "{source}, parejas iguales en exposición y proyección, con las que se eligió el modelo",
        "rest": "UNCERTAIN (indeterminado): {share} % de las imágenes de prueba; exactitud en el resto: {accuracy}.",
        "map": "El punto más alto del mapa cae sobre una opacidad añadida a una imagen normal en {hit} de las "
        "imágenes (n = {n}); un punto al azar, en {chance}.",
    },
}


def table(metrics: Metrics, words: Mapping[str, str]) -> str:
    """The figures as a Markdown table, and a line on the films called UNCERTAIN."""
    validation, uncertain = metrics.validation, metrics.uncertain
    assert validation is not None and uncertain.accuracy_of_the_rest is not None, (
        "the embedded bundle has them"
    )
    heads = (words["head"], words["ours"].format(n=metrics.n), words["interval"])

    def figure(text: str) -> str:
        return text.replace(" to ", words["to"]).replace(".", words["decimal"])

    lines = [
        f"| {' | '.join((*heads, words['validation'].format(n=validation.n)))} |",
        "|---|---|---|---|",
        *(
            f"| {words[key]} | {figure(show(metrics.figure(key)))} | {figure(interval(metrics.figure(key)))} "
            f"| {figure(show(validation.figure(key)))} |"
            for key in SHOWN
        ),
        "",
        words["rest"].format(
            share=figure(f"{100 * uncertain.share:.1f}"),
            accuracy=figure(f"{uncertain.accuracy_of_the_rest:.3f}"),
        ),
    ]
    if metrics.audit:
        planted = metrics.audit.maps.planted_in_normal_films
        hit, chance = (figure(plain(share)) for share in (planted.hit_rate, planted.chance))
        lines += ["", words["map"].format(n=planted.n, hit=hit, chance=chance)]
    if members := metrics.members:
        each = (
            f"{words[key]} {figure(plain(found.mean))} ± {figure(plain(found.sd))}"
            for key, found in members.figures.items()
            if key in SHOWN
        )
        lines += ["", words["members"].format(n=members.n, figures="; ".join(each))]
    return "\n".join([*lines, *_elsewhere(metrics.elsewhere or {}, words, figure)])


def _elsewhere(
    sources: Mapping[str, Elsewhere], words: Mapping[str, str], figure: Callable[[str], str]
) -> list[str]:
    """A table of the films of other hospitals that no part of the model was fitted to, and of pairs among them."""

    def cell(found: Figure | None) -> str:
        return f"{figure(show(found))} ({figure(interval(found))})" if found else "-"

    rows = []
    for source, of in sources.items():
        if of.n:
            cells = map(cell, (of.read, of.not_called_pneumonia, of.roc_auc))
            rows.append(f"| {source} | {of.n} | {' | '.join(cells)} |")
        if of.pairs:
            name = words["pairs"].format(source=source)
            rows.append(f"| {name} | {of.pairs.n} | | | {cell(of.pairs.roc_auc)} |")
    return ["", f"| {words['elsewhere']} |", "|---|---|---|---|---|", *rows] if rows else []


def speeds(found: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """The ratios of a benchmark run as a Markdown table; a row's dash is what the run does not measure."""
    calls = {who: of["calls_per_second"]["8"] for who, of in found["predict"].items()}
    rows = {
        "start": found["first_answer_seconds"],
        "memory": found["memory_mb"],
        "p50": {who: 1000 * of["p50"] for who, of in found["predict"].items()},
        "calls": calls,
        "film": {who: 1000 * seconds for who, seconds in found["one_film_seconds"].items()},
        "small": found["films_per_second"]["224 px"],
        "large": found["films_per_second"]["2000 px"],
        "epoch": found["epoch"]["seconds"],
    }
    lines = [f"| {words['speed_head']} |", "|---|---|---|---|---|---|"]
    for key, values in rows.items():
        ours, naive, empty = values["ours"], values["naive"], values.get("empty")
        cells = [_short(ours), _short(naive), _short(empty), _short(naive / ours)]
        cells.append(_short(ours / empty if empty else None))
        lines.append(
            f"| {words[key]} | {' | '.join(cell.replace('.', words['decimal']) for cell in cells)} |"
        )
    small, large = rows["small"], rows["large"]
    epoch, most = found["epoch"]["seconds"], found["growth"][-1]
    ratios = {
        "small": small["ours"] / small["slower_of_both"],
        "both": small["ours"] / small["both_on_the_same_cores"],
        "large": large["ours"] / large["slower_of_both"],
        "ratio": epoch["default"] / epoch["batches"],
    }
    said = {name: _short(ratio).replace(".", words["decimal"]) for name, ratio in ratios.items()}
    said |= {"films": f"{most['films']:,}".replace(",", words["thousand"]), "peak": f"{most['peak_mb']:.0f}"}
    notes = (words["limit"], words["step"], words["machine"])
    return "\n\n".join(["\n".join(lines), *(note.format(**said, **found["machine"]) for note in notes)])


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}" if value >= 20 else f"{value:.2f}"


def between(text: str, begin: str, end: str, table: str) -> str:
    """A README's text with one table written anew. Raises UsageError where its two comments are missing."""
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise UsageError(f"A README lacks the comments {begin} and {end}, between which its table stands.")
    return f"{before}{begin}\n{table}\n{end}{after}"


def write_readmes() -> None:
    """Write the figures of bundles/default and of the benchmarks into README.md and README.es.md."""
    metrics, found = read_metrics(METRICS), json.loads(SPEEDS.read_text(encoding="utf-8"))
    for name, words in WORDS.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        text = between(text, BEGIN, END, table(metrics, words))
        write_text(ROOT / name, between(text, BEGIN_SPEEDS, END_SPEEDS, speeds(found, words)))


if __name__ == "__main__":
    tyro.cli(lambda: None, prog="python -m benchmarks.readme", description=write_readmes.__doc__)
    sys.exit(run_command(write_readmes))
