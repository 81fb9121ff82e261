"""What plots share: a canvas without pyplot, colours for colour-blind readers, the same bytes each time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cxr.model.figures import Figure as MeasuredFigure
from cxr.model.figures import MeasuredData, Metrics
from cxr.types import NORMAL, PNEUMONIA

# Okabe and Ito's palette.
COLOURS = {NORMAL: "#0072B2", PNEUMONIA: "#D55E00"}
RIGHT, WRONG, UNSURE = "#00734F", "#B3261E", "#7A5C00"
CURVE, GUIDE, POINT = "#0072B2", "#6B6B6B", "#B3261E"
DPI = 120
PHANTOM_NOTE = "SYNTHETIC PHANTOMS, NOT RADIOGRAPHS OF PEOPLE"

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that plots look alike everywhere
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "legend.frameon": True,
    "legend.framealpha": 0.9,
    "legend.fontsize": 9.5,
    "lines.linewidth": 2.0,
}


@contextmanager
def plot(path: Path, size: tuple[float, float], footer: str) -> Iterator[Figure]:
    """Yield a Figure of `size` inches that is written to `path` as PNG when the block ends.

    The same drawing gives the same bytes on the same version of matplotlib.
    """
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=size, dpi=DPI, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        figure.supxlabel(footer, fontsize=9, color="#444444")
        yield figure
        figure.savefig(path, format="png", metadata={"Software": None})


def footer_of(metrics: Metrics) -> str:
    """One line under each plot: which films, and in plain sight where they are synthetic."""
    line = (
        f"{metrics.data.split} split: {metrics.n_normal:,} normal and {metrics.n_pneumonia:,} pneumonia films"
    )
    return f"{line}\n{PHANTOM_NOTE}" if is_phantom(metrics.data) else line


def is_phantom(data: MeasuredData) -> bool:
    """Whether the films are drawn, not taken of people."""
    return data.id.partition(":")[0] == "phantom"


def with_interval(figure: MeasuredFigure) -> str:
    """A figure in words: "0.978 (95% CI 0.968 to 0.987)"."""
    if figure.value is None:
        return "undefined"
    return f"{figure.value:.3f}" + (
        f" (95% CI {figure.ci95[0]:.3f} to {figure.ci95[1]:.3f})" if figure.ci95 else ""
    )


def unit_square(axes: Axes, x_label: str, y_label: str, title: str) -> None:
    """Both axes from 0 to 1 at equal scale."""
    axes.set(
        xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xlabel=x_label, ylabel=y_label, title=title
    )
