"""A part of the page: what it says, and how it says it again in another language."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from cxr.serving.slot import Served
from ui.words import DEFAULT_LOCALE, Locale, say

HIDDEN: dict[str, Any] = {"api_visibility": "private"}
"""For every event of the page: programs have endpoints of their own."""

PREVALENCE = 20.0
"""Where a prevalence slider stands at first, in percent: a round figure, the visitor's to move."""


def percent_slider(name: str, elem_id: str, low: float, high: float, value: float, step: float) -> gr.Slider:
    """A slider in percent; name: its words' key."""
    label = say(name, DEFAULT_LOCALE)
    return gr.Slider(low, high, value, step=step, label=label, elem_id=elem_id, min_width=280, buttons=[])


def prevalence_slider(elem_id: str) -> gr.Slider:
    """How many of the examined children have pneumonia."""
    return percent_slider("explorer.prevalence", elem_id, 0.5, 99.5, PREVALENCE, 0.5)


@dataclass(frozen=True)
class Part:
    """What the page's language switch must know of one part.

    spoken: components with words. kept: components whose values those words depend on. again: updates for `spoken`,
    from the model that serves, the language, and the values of `kept`.
    """

    spoken: Sequence[Any]
    kept: Sequence[Any]
    again: Callable[..., list[Any]]

    def say(self, served: Served, locale: Locale, kept: Sequence[Any]) -> list[Any]:
        """Updates for `spoken`, one for each."""
        updates = self.again(served, locale, *kept)
        if len(updates) != len(self.spoken):
            raise ValueError(f"{len(updates)} updates for {len(self.spoken)} components")
        return updates
