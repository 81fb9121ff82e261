"""Charts as inline SVG: they speak the page's language, follow light and dark, and stay sharp. No arithmetic of ours.

Every chart is an image with a description for those who cannot see it.
"""

from typing import Any

from markupsafe import Markup

from cxr.types import FloatArray
from evaluation.calibration import ReliabilityBins, wilson_interval
from ui.html.render import render
from ui.words import Locale

_SIDE, _LEFT, _TOP = 240, 46, 8
"""Side of the plotted square and its margins, in the SVG's own units."""
_BOX = f"0 0 {_LEFT + _SIDE + 12} {_TOP + _SIDE + 42}"
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def roc_chart(
    curve: tuple[FloatArray, FloatArray], here: tuple[float, float] | None, description: str, locale: Locale
) -> Markup:
    """Sensitivity over 1 - specificity, both in [0, 1], with the operating point `here` marked."""
    return _chart(
        locale,
        description,
        ("chart.false_alarms", "figure.sensitivity"),
        curve=list(zip(*curve, strict=True)),
        here=here,
        points=[],
    )


def reliability_chart(bins: ReliabilityBins, description: str, locale: Locale) -> Markup:
    """Observed share over mean probability for bins of equal mass, with Wilson's 95% intervals."""
    low, high = wilson_interval(bins.observed, bins.n)
    points = list(zip(bins.mean_probability, bins.observed, low, high, strict=True))
    return _chart(
        locale, description, ("chart.predicted", "chart.observed"), curve=None, here=None, points=points
    )


def _chart(locale: Locale, description: str, labels: tuple[str, str], **drawn: Any) -> Markup:
    return render(
        "chart",
        locale,
        box=_BOX,
        ticks=_TICKS,
        x=_x,
        y=_y,
        description=description,
        x_label=labels[0],
        y_label=labels[1],
        **drawn,
    )


def _x(value: float) -> float:
    return round(_LEFT + _SIDE * float(value), 1)


def _y(value: float) -> float:
    return round(_TOP + _SIDE * (1 - float(value)), 1)
