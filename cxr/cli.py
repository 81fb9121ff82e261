"""The front end that all commands share: errors in a line, and an exit code."""

import sys
from collections.abc import Callable

from cxr.errors import CxrError
from cxr.log import configure

FAILED = 2
INTERRUPTED = 130


def run_command(main: Callable[[], object], debug: bool = False) -> int:
    """Set up the log, run `main` and turn its errors into one line.

    Args:
        main: the command.
        debug: let every exception through, with its traceback. What is neither a CxrError nor a refusal of the
            operating system is a fault of ours and always comes through.

    Returns:
        The exit code: 0, 2 after an error, 130 after Ctrl-C.
    """
    try:
        configure()
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
        print(f"error: {_in_words(error)}; rerun with --debug to see the traceback", file=sys.stderr)
        return FAILED
    return 0


def _in_words(error: OSError) -> str:
    """A full disk, a folder that may not be written, a lost connection."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{reason}: {error.filename}" if error.filename else reason
