"""Calls into pydicom and its decoders: quiet, and with their exceptions replaced.

What they log, warn of or raise may quote a file's values, a patient's among them. So within `pydicom_call`, and in its
thread alone, their log records and warnings are dropped, and an exception becomes the given ImageError; our log gets
the exception's type and where it arose. Everybody else's use of pydicom stays as it is.
"""

import logging
import re
import struct
import traceback
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

from cxr.errors import ImageError

_log = logging.getLogger(__name__)
_within: ContextVar[bool] = ContextVar("within_pydicom_call", default=False)
_LOGGERS = ("pydicom", "pydicom.pixels.decoders.base", "pydicom.pixels.utils")
# What pydicom, its plugins, Pillow and GDCM raise on a broken file.
_RAISED = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    ArithmeticError,
    NotImplementedError,
    RuntimeError,  # RecursionError included
    AssertionError,
    struct.error,
    zlib.error,
)


@contextmanager
def pydicom_call(failure: ImageError) -> Iterator[None]:
    """Around a call of pydicom, and nothing of our own.

    Raises:
        ImageError: `failure`, in place of what the call raises, which may quote the file.
    """
    _be_quiet()
    token = _within.set(True)
    try:
        yield
    except _RAISED as error:
        _log.info("DICOM refused (%s): %s at %s", failure.code, type(error).__name__, _place(error))
        raise failure from None
    finally:
        _within.reset(token)


def _place(error: BaseException) -> str:
    """File and line where an exception arose, without the folders of this machine."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno}"


class _OutsideCalls(logging.Filter):
    """Lets log records pass but within `pydicom_call`."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _within.get()


class _ModuleWithinCalls:
    """Stands for the pattern of a warnings filter: matches pydicom's modules, and within `pydicom_call` only."""

    _modules = re.compile(r"pydicom\b|cxr\.imaging\b|PIL\b")

    def match(self, module: str) -> Any:
        return self._modules.match(module) if _within.get() else None


_outside_calls = _OutsideCalls()
_within_calls = ("ignore", None, Warning, _ModuleWithinCalls(), 0)


def _be_quiet() -> None:
    """Install the filters: again each time, since warnings.catch_warnings takes the second one away."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_outside_calls)  # adds it once
    # No function of the standard library takes a filter that looks at the context (before Python 3.14).
    filters = cast(list[Any], warnings.filters)
    if _within_calls not in filters:
        filters.insert(0, _within_calls)
