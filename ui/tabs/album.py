"""Films among which a visitor goes to and fro: those of a batch, or the errors on data of their own."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import gradio as gr

from cxr.imaging.decode import GrayImage
from ui.tabs.part import Part

REMEMBER_SECONDS = 1800
"""How long what a visitor was shown is kept after they left."""


@dataclass(frozen=True)
class Item:
    """One film: its name, how it is read again, and of a labelled one its label.

    read: Raises ImageError, or FileNotFoundError once the upload has been deleted. source: an example's attribution.
    """

    name: str
    read: Callable[[], GrayImage]
    truth: str | None = None
    source: str = ""


@dataclass(frozen=True)
class Album:
    """Items in the order in which the visitor sees them, the place of the one that is open, and where they came from.

    tab: the id of the tab that the visitor came from.
    """

    items: tuple[Item, ...]
    tab: str
    place: int = 0

    @property
    def item(self) -> Item:
        """The film that is open."""
        return self.items[self.place]

    def opened(self, index: int, order: list[int]) -> "Album":
        """The album with its items in `order`, places in the present one, and the item at `index` open."""
        kept = [at for at in order if 0 <= at < len(self.items)]
        if index not in kept:
            raise IndexError(index)
        return replace(self, items=tuple(self.items[at] for at in kept), place=kept.index(index))

    def turned(self, step: int) -> "Album":
        """The album with the film open that is `step` further on; at its ends it stays."""
        return replace(self, place=min(max(self.place + step, 0), len(self.items) - 1))


@dataclass(frozen=True)
class AlbumTab:
    """A tab with an album, for the page. album: its films; table: its `select` tells which is to be opened."""

    part: Part
    album: gr.State
    table: gr.HTML
