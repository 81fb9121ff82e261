"""The project's log: the standard `logging`, set up in this place alone.

A line never holds a file's name, a DICOM tag or a pixel: what people upload goes nowhere.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from cxr.errors import CxrError, UsageError

VARIABLE = "LOG_FORMAT"
"""Environment variable that chooses the form of a line: text (the default) or json."""
OUR_LOGGERS = ("app", "benchmarks", "cxr", "evaluation", "trainer", "ui")
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_requests = logging.getLogger("app.requests")


def configure() -> None:
    """Send the log to standard error: our own lines from INFO on, other libraries' from WARNING on.

    For commands and the app, never for a library module. A second call replaces the first.

    Raises:
        UsageError: LOG_FORMAT is neither text nor json.
    """
    formatter, root = _formatter(), logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _StderrHandler)]:
        root.removeHandler(handler)
    _add(_StderrHandler(), formatter)
    root.setLevel(logging.WARNING)


@contextmanager
def kept_in(path: Path) -> Iterator[None]:
    """Append the log's lines to the file `path`, too, while the block runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    _add(handler, _formatter())
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _add(handler: logging.Handler, formatter: logging.Formatter) -> None:
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    for name in OUR_LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO)


def _formatter() -> logging.Formatter:
    form = os.environ.get(VARIABLE, "").strip() or "text"
    if form not in ("text", "json"):
        raise UsageError(
            f"{VARIABLE}={form} is not a format of the log. Set it to text or json, or unset it."
        )
    return _JsonFormatter() if form == "json" else logging.Formatter(_TEXT)


@dataclass
class Outcome:
    """How a request ended; whoever answers it may say more than "ok"."""

    code: str = "ok"


@contextmanager
def logged(endpoint: str, failures_alone: bool = False) -> Iterator[Outcome]:
    """Log one line when the block or the decorated function ends: endpoint, outcome's code, milliseconds.

    The code of an error of ours, or of one that was raised from it, is the outcome; any other is "fault".

    Args:
        endpoint: name of what was called, as documented; never anything that the caller sent.
        failures_alone: for a first part of a request, whose second part logs how the whole ended.

    Yields:
        The outcome, whose code the block may set.
    """
    outcome, start = Outcome(), time.perf_counter()
    try:
        yield outcome
    except BaseException as error:
        known = error if isinstance(error, CxrError) else error.__cause__
        outcome.code = known.code if isinstance(known, CxrError) else "fault"
        raise
    finally:
        milliseconds = round((time.perf_counter() - start) * 1000, 1)
        fields = {"endpoint": endpoint, "outcome": outcome.code, "milliseconds": milliseconds}
        if not (failures_alone and outcome.code == "ok"):
            _requests.info("%s %s %.1f ms", *fields.values(), extra={"fields": fields})


class _StderrHandler(logging.Handler):
    """Writes to standard error, above a progress bar that is being shown there."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except Exception:  # as logging's own handlers do: a line that cannot be written stops no request
            self.handleError(record)


class _JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, a request's fields, a traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
