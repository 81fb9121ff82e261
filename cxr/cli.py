"""The front end that all commands share: errors in a line, and an exit code."""

import sys
from collections.abc import Callable

from cxr.errors import CxrError

FAILED = 2
INTERRUPTED = 130


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
