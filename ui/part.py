"""A part of the page: what it says, and how it says it again in another language."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cxr.serving import Served
from ui.text import Language

HIDDEN: dict[str, Any] = {"api_visibility": "private"}
"""For every event of the page: programs have endpoints of their own."""


@dataclass(frozen=True)
class Part:
    """What the page's language switch must know of one part.

    spoken: components with words. kept: components whose values those words depend on. again: updates for `spoken`,
    from the model that serves, the language, and the values of `kept`.
    """

    spoken: Sequence[Any]
    kept: Sequence[Any]
    again: Callable[..., list[Any]]

    def say(self, served: Served, language: Language, kept: Sequence[Any]) -> list[Any]:
        """Updates for `spoken`, one for each."""
        updates = self.again(served, language, *kept)
        if len(updates) != len(self.spoken):
            raise ValueError(f"{len(updates)} updates for {len(self.spoken)} components")
        return updates
