"""Exports of bare .h5 files, kept between runs beside what the Hub's client keeps.

A file's name holds the sha256 of the .h5 and of the export itself, so that a damaged one is never used.
"""

import logging
import os
from pathlib import Path

from cxr.files import sha256_of, write_bytes

VARIABLE = "CXR_CACHE"
"""Environment variable that names another folder."""
_FORM = "v1"  # to be raised when the export's contract changes (cxr.model.onnx_backend)

_log = logging.getLogger(__name__)


def find(model_sha256: str) -> bytes | None:
    """The kept export of the .h5 with this sha256, or None."""
    try:
        for path in _folder().glob(f"{model_sha256}.{_FORM}.*.onnx"):
            content = path.read_bytes()
            if path.name == _name(model_sha256, content):
                return content
    except OSError as error:
        _log.info("the cache cannot be read: %s", error.strerror)
    return None


def keep(model_sha256: str, content: bytes) -> None:
    """Keep an export. If the cache cannot be written, the next run exports again."""
    try:
        write_bytes(_folder() / _name(model_sha256, content), content)
    except OSError as error:
        _log.info("the export is not kept: %s", error.strerror)


def _name(model_sha256: str, content: bytes) -> str:
    return f"{model_sha256}.{_FORM}.{sha256_of(content)}.onnx"


def _folder() -> Path:
    """CXR_CACHE, or a folder in the Hub client's asset cache (HF_HOME, HF_ASSETS_CACHE)."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    from huggingface_hub import cached_assets_path  # here: only a bare .h5 needs it

    return cached_assets_path("cxr-pneumonia", "exports")
