"""What a network gives out, whatever computes it. The bottom of this room: it imports the named types alone."""

from typing import NamedTuple, Protocol

from cxr.types import EvidenceMap, Features, InputBatch, Logits


class Outputs(NamedTuple):
    """What a network gives for a batch of n films.

    logits: (n,). features: (n, d), what the last linear layer reads. trunk: (n, t), mean and
    deviation over places of the channels of the network's middle stages, which the input gate reads; None for networks
    without them.
    """

    logits: Logits
    features: Features
    trunk: Features | None = None


class Backend(Protocol):
    """What computes a network."""

    @property
    def size(self) -> int:
        """Side of the square input, in pixels."""

    def outputs(self, batch: InputBatch) -> Outputs:
        """Logits and features of a batch."""

    def evidence(self, batch: InputBatch) -> tuple[Outputs, EvidenceMap]:
        """The same, and evidence maps (n, height, width) at the resolution that the network makes them in."""
