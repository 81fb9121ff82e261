"""The slot that holds the model that answers now; another may take its place between two requests."""

from dataclasses import dataclass
from typing import Literal

from cxr.model.predictor import Predictor

State = Literal["as_asked", "cached", "default"]


@dataclass(frozen=True)
class Served:
    """A loaded model, and where it comes from.

    Attributes:
        predictor: answers with it.
        state: "as_asked": the model that the user named, fresh from its source; "cached": that model, from an
            earlier pull, because the Hub cannot be reached; "default": the embedded one, because none was named.
    """

    predictor: Predictor
    state: State = "as_asked"


class Serving:
    """Holds the model that serves. A request reads `now` once and keeps that model to its end."""

    def __init__(self, served: Served) -> None:
        self._served = served

    @property
    def now(self) -> Served:
        """The model that serves at this moment."""
        return self._served

    def exchange(self, served: Served) -> None:
        """Let `served` answer from the next request on."""
        self._served = served
