"""Exports of bare .h5 files, kept between runs in the user's cache folder.

A file's name holds the sha256 of the .h5 and of the export itself, so that a damaged one is never used.
"""

import logging
import os
import sys
from pathlib import Path

from cxr.files import sha256_of, write_bytes

VARIABLE = "CXR_CACHE"
"""Environment variable that names another cache folder."""
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
        _log.info("the cache cannot be read: %s", error)
    return None


def keep(model_sha256: str, content: bytes) -> None:
    """Keep an export. A cache that cannot be written is no failure: the next run exports again."""
    try:
        write_bytes(_folder() / _name(model_sha256, content), content)
    except OSError as error:
        _log.info("the export is not kept: %s", error)


def _name(model_sha256: str, content: bytes) -> str:
    return f"{model_sha256}.{_FORM}.{sha256_of(content)}.onnx"


def _folder() -> Path:
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(base)) / "cxr-pneumonia" / "exports"  # noqa: PTH111
