"""MODEL: where the model that serves comes from, and what serves where it is not available.

a bundle folder             as the trainer wrote it
a bare .h5                  such as the original's
hub:OWNER/NAME[@revision]   a bundle on the Hugging Face Hub; from the cache where the Hub does not give it
nothing                     the embedded default
"""

import logging
import os
from pathlib import Path

from pydantic import ValidationError

from cxr.errors import BundleError, HubError, UsageError, first_problem
from cxr.imaging.preprocess import PreprocessSpec
from cxr.model.predictor import Predictor
from cxr.serving import hub
from cxr.serving.hub import HubModel, Patience, Snapshot
from cxr.serving.local import load_model, open_bundle
from cxr.serving.slot import Served

_log = logging.getLogger(__name__)


def open_model(
    model: str | None,
    revision: str | None = None,
    default: Path | None = None,
    patience: Patience | None = None,
) -> Served:
    """Load MODEL, or `default` where none was named, verified in full, and log which model serves.

    What was named and cannot be had is never replaced by something else: it serves from the cache, in state
    "cached", or an error says why not.

    Args:
        model: a bundle folder, a bare .h5 or hub:OWNER/NAME[@revision].
        revision: a branch, a tag or a commit on the Hub.
        default: the bundle that serves where no MODEL was named.
        patience: how long the Hub may take.

    Raises:
        UsageError: MODEL has none of these forms.
        BundleError: it does not verify.
        HubError: the Hub does not give it, and the cache does not have it.
    """
    if model and model.startswith("hub:"):
        served = _open_hub(model, hub.parse_hub_model(model, revision), patience or Patience())
    elif revision:
        raise UsageError(
            f"MODEL_REVISION={revision} needs MODEL=hub:OWNER/NAME, but MODEL is {model or 'not set'}. "
            "Unset MODEL_REVISION."
        )
    elif model:
        served = Served(load_model(model, stated_preprocess()))
    elif default is not None:
        served = Served(open_bundle(default), "default")
    else:
        raise UsageError("No MODEL was named. Name a bundle folder, a .h5 file or hub:OWNER/NAME.")
    _log.info("%s", described(served))
    return served


def stated_preprocess() -> PreprocessSpec | None:
    """How images for a bare .h5 are preprocessed, from MODEL_PREPROCESS; None where that is not set.

    Raises:
        UsageError: it is not a preprocessing in JSON.
    """
    text = os.environ.get("MODEL_PREPROCESS")
    if not text:
        return None
    try:
        return PreprocessSpec.model_validate_json(text)
    except ValidationError as error:
        raise UsageError(
            f"MODEL_PREPROCESS cannot be used: {first_problem(error)}. Give JSON such as "
            '{"size": 224, "resample": "bilinear"}.'
        ) from error


def described(served: Served) -> str:
    """One line that says which model serves, and where it comes from."""
    identity = served.predictor.identity
    at = f" at {identity.revision}" if identity.revision else ""
    how = {"as_asked": "", "cached": ", from the cache", "default": ", the embedded default"}[served.state]
    return f"model: {identity.source} {identity.version}{at}{how}".replace("  ", " ")


def _open_hub(model: str, asked: HubModel, patience: Patience) -> Served:
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
        _log.warning("the cached model serves, because: %s", error)
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
