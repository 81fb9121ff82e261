"""The plot of a run: ratios to the naive way, and how each grows."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = {"ours": "#0f766e", "naive": "#b45309", "empty": "#64748b"}


def draw(path: Path, result: dict[str, Any]) -> None:
    """Write the plot as PNG."""
    figure = Figure((13, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    callers, films, memory = figure.subplots(1, 3)
    for name, colour in COLOURS.items():
        rates = result["predict"][name]["calls_per_second"]
        callers.plot([int(count) for count in rates], list(rates.values()), "o-", color=colour, label=name)
    _label(callers, "calls per second through gradio_client", "callers", "")
    callers.legend()
    grown = result["growth"]
    counts = [row["films"] for row in grown]
    films.plot(counts, [row["films_per_second"] for row in grown], "o-", color=COLOURS["ours"])
    _label(films, "scoring, films per second (224 px)", "films", "")
    memory.plot(counts, [row["peak_mb"] for row in grown], "o-", color=COLOURS["ours"])
    _label(memory, "scoring, peak memory in MB", "films", "")
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.06 * axes.dataLim.y1)
    axes.grid(alpha=0.3)
