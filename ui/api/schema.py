"""The answers of the API as JSON, by docs/api.md."""

from collections.abc import Sequence
from typing import Any

from cxr.errors import RequestError
from cxr.imaging.decode import MAX_ASPECT, MAX_BYTES, MAX_PIXELS, MIN_SIDE
from cxr.model.answer import SCHEMA_VERSION, Answer, answer_json, row_json
from cxr.model.bundle import Bundle
from cxr.model.decision import shift_prevalence
from cxr.model.figures import Metrics
from cxr.serving.slot import Served
from cxr.types import CLASSES, PNEUMONIA, WarningCode
from ui.api.batch import MAX_BATCH_BYTES, MAX_FILMS
from ui.api.limits import KEEP_SECONDS, MAX_UPLOAD_BYTES, WAITING_ROOM
from ui.api.served_model import metrics, model_name, origin
from ui.words import say

HEADLINE = ("roc_auc", "sensitivity", "specificity")
"""The figures that the page shows, by their keys in metrics.json."""


def check_prevalence(served: Served, prevalence: float | None) -> None:
    """Raise RequestError unless a probability can be told for this prevalence; None is always fine."""
    if prevalence is None:
        return
    if not 0 < prevalence < 1:  # NaN is neither
        raise RequestError(
            "bad_prevalence",
            f"The prevalence {prevalence:g} is not between 0 and 1. Send a share, such as 0.2.",
        )
    if served.predictor.decision.reference_prevalence is None:
        raise RequestError(
            "no_reference_prevalence",
            f"{model_name(served)} does not say which prevalence its probability assumes. "
            "Send no prevalence, or serve a bundle.",
        )


def prediction_json(
    served: Served, answer: Answer, seconds: float, prevalence: float | None = None
) -> dict[str, Any]:
    """The answer of /predict and /explain; `prevalence` must have passed `check_prevalence`.

    With a prevalence it tells the probability for it beside the model's own. The decision stays: it was chosen by
    sensitivity and specificity, which do not depend on the mix of films.
    """
    found = answer_json(answer, identity_json(served), _threshold(served), seconds, _message)
    assumed = served.predictor.decision.reference_prevalence
    if prevalence is not None and assumed is not None and answer.probability is not None:
        shifted = shift_prevalence(answer.probability, assumed, prevalence)
        found["at_prevalence"] = {"prevalence": prevalence, "probability": shifted}
    return found


def batch_json(served: Served, answers: Sequence[Answer]) -> dict[str, Any]:
    """The answer of /predict_batch."""
    return {
        "schema_version": SCHEMA_VERSION,
        "n": len(answers),
        "n_errors": sum(answer.error is not None for answer in answers),
        "rows": [row_json(answer, _threshold(served), _message) for answer in answers],
        "model": identity_json(served),
    }


def _threshold(served: Served) -> float:
    return served.predictor.decision.threshold


def _message(code: WarningCode) -> str:
    return say(f"warning.{code}", "en")


def identity_json(served: Served) -> dict[str, str]:
    """Which model answers, and how it came to serve (`cxr.serving.slot.State`)."""
    identity = served.predictor.identity
    return {
        "source": identity.source,
        "revision": identity.revision,
        "version": identity.version,
        "sha256": identity.sha256,
        "state": served.state,
    }


def model_json(served: Served) -> dict[str, Any]:
    """The answer of /model_info."""
    predictor = served.predictor
    decision, bundle = predictor.decision, predictor.bundle
    return {
        "schema_version": SCHEMA_VERSION,
        "notice": say("notice", "en"),
        "model": identity_json(served),
        "name": model_name(served),
        "classes": list(CLASSES),
        "positive_class": PNEUMONIA,
        "input_size": predictor.preprocess.size,
        "calibrated": bundle is not None,
        "decision": {
            "threshold": decision.threshold,
            "rule": decision.rule,
            "uncertain_band": list(decision.uncertain_band) if decision.uncertain_band else None,
            "unfamiliar_band": list(decision.unfamiliar_band) if decision.unfamiliar_band else None,
            "reference_prevalence": decision.reference_prevalence,
        },
        "trained_on": _training_json(bundle),
        "limits": [say(f"limits.{row}", "en") for row in (1, 2, 3)],
        "metrics": _metrics_json(metrics(served)),
        "request_limits": {
            "image_bytes": MAX_BYTES,
            "image_pixels": MAX_PIXELS,
            "shortest_side": MIN_SIDE,
            "aspect": MAX_ASPECT,
            "upload_bytes": MAX_UPLOAD_BYTES,
            "batch_films": MAX_FILMS,
            "batch_bytes": MAX_BATCH_BYTES,
            "waiting_calls": WAITING_ROOM,
            "kept_seconds": KEEP_SECONDS,
        },
    }


def _training_json(bundle: Bundle | None) -> dict[str, Any] | None:
    if bundle is None:
        return None
    training = bundle.description.training
    return {
        "synthetic": origin(bundle) == "phantoms",
        "data": training.data,
        "data_revision": training.data_revision,
        "films": training.films.model_dump(mode="json"),
        "prevalence": training.prevalence,
        "split_rule": training.split_rule,
    }


def _metrics_json(measured: Metrics | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    return {
        "split": measured.data.split,
        "n": measured.n,
        "n_normal": measured.n_normal,
        "n_pneumonia": measured.n_pneumonia,
        **{key: measured.figure(key).model_dump(mode="json") for key in HEADLINE},
    }
