"""The model that answers now, which may be exchanged for another between two requests."""

from dataclasses import dataclass
from typing import Literal

from cxr.model.predictor import Predictor

State = Literal["as_asked", "cached", "default"]


@dataclass(frozen=True)
class Served:
    """A loaded model, and how it came to be the one that serves.

    state: "as_asked": the model that the user named, fresh from where it is; "cached": that model, from an earlier
    pull, because the Hub cannot be reached; "default": the embedded one, because no model was named or none could
    be had.
    """

    predictor: Predictor
    state: State = "as_asked"


class Serving:
    """Holds what serves. A request reads `now` once and uses what it got to its end, whatever comes after."""

    def __init__(self, served: Served) -> None:
        self._served = served

    @property
    def now(self) -> Served:
        """What serves at this moment."""
        return self._served

    def exchange(self, served: Served) -> None:
        """Let `served` answer from the next request on."""
        self._served = served
