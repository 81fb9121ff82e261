"""Charts as inline SVG: they speak the page's language, follow light and dark, and stay sharp. No arithmetic of ours.

Every chart is an image with a description for those who cannot see it.
"""

from collections.abc import Sequence
from html import escape

from cxr.types import FloatArray
from evaluation.calibration import ReliabilityBins, wilson_interval
from ui.text import Language, brief_percent, say

_SIDE, _LEFT, _TOP = 240, 46, 8
"""Side of the plotted square and its margins, in the SVG's own units."""
_BOX = f"0 0 {_LEFT + _SIDE + 12} {_TOP + _SIDE + 42}"
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def roc_chart(
    curve: tuple[FloatArray, FloatArray],
    here: tuple[float, float] | None,
    description: str,
    language: Language,
) -> str:
    """Sensitivity over 1 - specificity, both in [0, 1], with the operating point `here` marked."""
    line = " ".join(f"{_x(x)},{_y(y)}" for x, y in zip(*curve, strict=True))
    mark = f'<circle class="mark" cx="{_x(here[0])}" cy="{_y(here[1])}" r="6"/>' if here else ""
    body = f'<polyline class="curve" points="{line}"/>{mark}'
    return _chart(
        body, say("chart.false_alarms", language), say("figure.sensitivity", language), description, language
    )


def reliability_chart(bins: ReliabilityBins, description: str, language: Language) -> str:
    """Observed share over mean probability for bins of equal mass, with Wilson's 95% intervals."""
    low, high = wilson_interval(bins.observed, bins.n)
    marks = "".join(
        f'<path class="bar" d="M{_x(p)},{_y(bottom)}V{_y(top)}"/><circle class="dot" cx="{_x(p)}" cy="{_y(o)}" r="4"/>'
        for p, o, bottom, top in zip(bins.mean_probability, bins.observed, low, high, strict=True)
    )
    return _chart(
        marks, say("chart.predicted", language), say("chart.observed", language), description, language
    )


def _chart(body: str, x_label: str, y_label: str, description: str, language: Language) -> str:
    middle = _TOP + _SIDE / 2
    return (
        f'<svg class="chart" viewBox="{_BOX}" role="img" aria-label="{escape(description)}">'
        f"{_grid(_TICKS, language)}"
        f'<path class="guide" d="M{_x(0)},{_y(0)}L{_x(1)},{_y(1)}"/>{body}'
        f'<text class="label" x="{_x(0.5)}" y="{_TOP + _SIDE + 36}">{escape(x_label)}</text>'
        f'<text class="label" x="12" y="{middle}" transform="rotate(-90 12 {middle})">{escape(y_label)}</text></svg>'
    )


def _grid(ticks: Sequence[float], language: Language) -> str:
    return "".join(
        f'<path class="grid" d="M{_x(tick)},{_y(0)}V{_y(1)}M{_x(0)},{_y(tick)}H{_x(1)}"/>'
        f'<text class="tick" x="{_x(tick)}" y="{_TOP + _SIDE + 16}">{brief_percent(tick, language)}</text>'
        f'<text class="tick side" x="{_LEFT - 6}" y="{_y(tick) + 4}">{brief_percent(tick, language)}</text>'
        for tick in ticks
    )


def _x(value: float) -> float:
    return round(_LEFT + _SIDE * float(value), 1)


def _y(value: float) -> float:
    return round(_TOP + _SIDE * (1 - float(value)), 1)
