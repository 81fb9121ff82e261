"""The grid of films with true and predicted label: the worst errors first, then a fair sample."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from cxr.model.figures import Metrics
from cxr.model.predictions import ScoredFilm
from cxr.types import UNCERTAIN, ModelPixels
from evaluation.drawing import RIGHT, UNSURE, WRONG, footer_of, plot
from evaluation.predictions import worst_errors

COLUMNS, ROWS = 8, 4
_MAX_ERRORS = 16
_SEED = 0


def draw_sample_grid(path: Path, rows: Sequence[ScoredFilm], pixels: ModelPixels, metrics: Metrics) -> None:
    """Write the grid of up to 8 x 4 films. pixels: uint8 (n, size, size), in the order of `rows`."""
    threshold = metrics.threshold
    chosen, n_errors = choose_films(rows, threshold)
    lines = -(-len(chosen) // COLUMNS)
    footer = (
        f"first {n_errors}: the most confident errors; the others: a random sample of the rest\n"
        f"✓ right   ✗ wrong   ? called uncertain\n{footer_of(metrics)}"
    )
    with plot(path, (2.05 * COLUMNS, 2.35 * lines + 1.2), footer) as figure:
        figure.suptitle(
            "Films as the model sees them, with truth and prediction", fontsize=15, fontweight="bold"
        )
        grid = figure.subplots(lines, COLUMNS, squeeze=False, subplot_kw={"xticks": [], "yticks": []})
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, index in zip(grid.flat, chosen, strict=False):
            _draw_film(axes, rows[index], pixels[index], threshold)


def choose_films(rows: Sequence[ScoredFilm], threshold: float) -> tuple[list[int], int]:
    """Indices of up to 32 films, and how many of them, at the start, are there as errors."""
    place = {id(row): index for index, row in enumerate(rows)}
    errors = [place[id(row)] for row in worst_errors(rows, threshold, _MAX_ERRORS)]
    rest = np.setdiff1d(np.arange(len(rows)), errors)
    count = min(COLUMNS * ROWS - len(errors), len(rest))
    sample = np.random.default_rng(_SEED).choice(rest, count, replace=False)
    return errors + sample.tolist(), len(errors)


def _draw_film(axes: Axes, row: ScoredFilm, pixels: ModelPixels, threshold: float) -> None:
    called_pneumonia = row.probability >= threshold
    if row.answer.decision == UNCERTAIN:
        sign, colour = "?", UNSURE
    elif called_pneumonia == row.is_pneumonia:
        sign, colour = "✓", RIGHT
    else:
        sign, colour = "✗", WRONG
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    title = f"true {row.answer.truth}\n{sign} {row.answer.decision or 'refused'} {row.probability:.2f}"
    axes.set_title(title, fontsize=10, color=colour, fontweight="bold")
