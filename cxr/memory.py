"""Memory that was freed, back to the system."""

import ctypes
import sys


def return_freed() -> None:
    """Give the system what this process has freed and still holds; where the C library cannot, nothing happens.

    glibc keeps freed blocks for later ones. What the load of a model leaves (the file's bytes, the weights before they
    were turned) is larger than anything that serving needs later.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
