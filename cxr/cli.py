"""The front end that all commands share: errors in a line, an exit code, and a terminal without noise."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cxr.errors import CxrError

FAILED = 2
INTERRUPTED = 130

_START_UP_NOTES = (
    "oneDNN custom operations are on",
    "All log messages before absl::InitializeLog()",
    "This TensorFlow binary is optimized to use available CPU instructions",
    "To enable the following instructions",
)


def run_command(main: Callable[[], object], debug: bool = False) -> int:
    """Run `main` and return the exit code: 0, 2 after an error that is told in words, 130 after Ctrl-C.

    debug: let the exception through, with its traceback. What is neither a CxrError nor a refusal of the
    operating system is a fault of ours and always comes through.
    """
    try:
        main()
    except KeyboardInterrupt:
        if debug:
            raise
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except CxrError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        if debug:
            raise
        print(f"error: {_in_words(error)}; pass --debug for the whole story", file=sys.stderr)
        return FAILED
    return 0


def _in_words(error: OSError) -> str:
    """A full disk, a folder that may not be written, a lost connection."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{reason}: {error.filename}" if error.filename else reason


@contextmanager
def without_start_up_notes() -> Iterator[None]:
    """Keep TensorFlow's start-up notes off the terminal; all else that the block writes to stderr comes after it.

    TensorFlow 2.21 writes them past Python, to file descriptor 2, whatever TF_CPP_MIN_LOG_LEVEL says. Not for a
    block that other threads write to stderr beside.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            _write_all_but_notes(held.read().decode(errors="replace"))


def _write_all_but_notes(text: str) -> None:
    lines = text.splitlines(keepends=True)
    sys.stderr.write("".join(line for line in lines if not any(note in line for note in _START_UP_NOTES)))
