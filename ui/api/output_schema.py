"""What agents are told of our answers: JSON Schema of docs/api.md's answers, by tool."""

from typing import Any, Final, get_args

from cxr.model.answer import SCHEMA_VERSION, Scope
from cxr.types import Decision, WarningCode

_TEXT = {"type": "string"}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_VERSION = {"const": SCHEMA_VERSION}
_MODEL = {
    "type": "object",
    "properties": dict.fromkeys(("source", "revision", "version", "sha256", "state"), _TEXT),
}
_JUDGEMENT: dict[str, Any] = {
    "decision": {"enum": [*get_args(Decision), None]},
    "probability": {**_SHARE, "type": ["number", "null"], "description": "calibrated P(PNEUMONIA)"},
    "threshold": _SHARE,
    "scope": {"enum": [*get_args(Scope), None]},
    "warnings": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"code": {"enum": list(get_args(WarningCode))}, "message": _TEXT},
            "required": ["code", "message"],
        },
    },
}


def _object(properties: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
    }


_ERROR = {**_object({"code": _TEXT, "message": _TEXT}), "type": ["object", "null"]}
_ANSWER = _object(
    {"schema_version": _VERSION, **_JUDGEMENT, "model": _MODEL, "seconds": {"type": "number"}},
    {"at_prevalence": _object({"prevalence": _SHARE, "probability": _SHARE})},
)
_BATCH = _object(
    {
        "schema_version": _VERSION,
        "n": {"type": "integer"},
        "n_errors": {"type": "integer"},
        "rows": {"type": "array", "items": _object({"file": _TEXT, **_JUDGEMENT, "error": _ERROR})},
        "model": _MODEL,
    }
)
_INFO = _object(
    {
        "schema_version": _VERSION,
        "notice": _TEXT,
        "model": _MODEL,
        "name": _TEXT,
        "classes": {"type": "array", "items": _TEXT},
        "positive_class": _TEXT,
        "input_size": {"type": "integer"},
        "calibrated": {"type": "boolean"},
        "decision": {"type": "object"},
        "trained_on": {"type": ["object", "null"]},
        "limits": {"type": "array", "items": _TEXT},
        "metrics": {"type": ["object", "null"]},
        "request_limits": {"type": "object"},
    }
)
OUTPUTS: Final[dict[str, dict[str, Any]]] = {
    "predict": _ANSWER,
    "explain": _ANSWER,
    "predict_batch": _BATCH,
    "model_info": _INFO,
}
"""By the endpoint's name, without its slash."""
