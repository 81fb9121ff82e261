"""MODEL: where the model that serves comes from, and what serves where it cannot be had.

a bundle folder             as the trainer wrote it
a bare .h5                  such as the original's
hub:OWNER/NAME[@revision]   a bundle on the Hugging Face Hub; from the cache where the Hub does not give it
nothing                     the embedded default
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from cxr.errors import BundleError, HubError, UsageError, first_problem
from cxr.imaging.preprocess import PreprocessSpec
from cxr.model.predictor import Predictor
from cxr.serving import hub
from cxr.serving.hub import HubModel, Patience, Snapshot
from cxr.serving.local import load_model, open_bundle
from cxr.serving.slot import Served

Tell = Callable[[str], None]


def tell(line: str) -> None:
    """The log: one line on standard error."""
    print(line, file=sys.stderr, flush=True)


def open_model(
    model: str | None,
    revision: str | None = None,
    default: Path | None = None,
    patience: Patience | None = None,
    log: Tell = tell,
) -> Served:
    """Load MODEL, or `default` where none was named, verified in full.

    What was named and cannot be had is never replaced by something else: it serves from the cache, in state
    "cached", or HubError, BundleError or UsageError says why not. `log` gets a line that says what serves.
    """
    if model and model.startswith("hub:"):
        served = _open_hub(model, hub.parse_hub_model(model, revision), patience or Patience(), log)
    elif revision:
        raise UsageError("a revision with hub:OWNER/NAME only", f"{revision} without", "leave it out")
    elif model:
        served = Served(load_model(model, stated_preprocess()))
    elif default is not None:
        served = Served(open_bundle(default), "default")
    else:
        raise UsageError("a MODEL", "none", "name a bundle folder, a .h5, or hub:OWNER/NAME")
    log(described(served))
    return served


def stated_preprocess() -> PreprocessSpec | None:
    """How the films of a bare .h5 are to be read, from MODEL_PREPROCESS. Raises UsageError."""
    text = os.environ.get("MODEL_PREPROCESS")
    if not text:
        return None
    try:
        return PreprocessSpec.model_validate_json(text)
    except ValidationError as error:
        raise UsageError(
            "MODEL_PREPROCESS in JSON",
            first_problem(error),
            'for example {"size": 224, "resample": "bilinear"}',
        ) from error


def described(served: Served) -> str:
    """One line that says which model serves and how it came to."""
    identity = served.predictor.identity
    at = f" at {identity.revision}" if identity.revision else ""
    how = {"as_asked": "", "cached": ", from the cache", "default": ", the embedded default"}[served.state]
    return f"model: {identity.source} {identity.version}{at}{how}".replace("  ", " ")


def _open_hub(model: str, asked: HubModel, patience: Patience, log: Tell) -> Served:
    if asked.is_commit and (pinned := _load_cached(model, asked)):
        return Served(pinned)  # a commit never changes, so there is nothing to ask
    try:
        snapshot = hub.fetch(asked, patience)
        assert snapshot is not None
        return Served(_accept(model, asked, snapshot))
    except (HubError, BundleError) as error:
        cached = _load_cached(model, asked)
        if cached is None:
            raise
        log(f"the cached model serves, because: {error}")
        return Served(cached, "cached")


def _accept(model: str, asked: HubModel, snapshot: Snapshot) -> Predictor:
    """Load a fetched bundle, and only then let the cache remember it."""
    predictor = load_snapshot(model, snapshot)
    hub.keep(asked, snapshot)
    return predictor


def _load_cached(model: str, asked: HubModel) -> Predictor | None:
    """The cached model, or None where there is none that verifies."""
    snapshot = hub.cached(asked)
    if snapshot is None:
        return None
    try:
        return load_snapshot(model, snapshot)
    except BundleError:
        return None


def load_snapshot(model: str, snapshot: Snapshot) -> Predictor:
    """Load a fetched or cached bundle of the Hub. Raises BundleError."""
    return open_bundle(snapshot.folder, model, snapshot.commit, whole=False)
