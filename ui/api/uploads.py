"""The folder of uploads: one for each running server, and gone when it stops, whatever pages are open by then."""

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from gradio import processing_utils

VARIABLE = "GRADIO_TEMP_DIR"
"""Environment variable that names the folder in which servers make theirs; the system's temporary folder, if unset."""
_PREFIX, _LOCK = "cxr-uploads-", ".in-use"


@contextmanager
def own_uploads() -> Iterator[Path]:
    """Give Gradio a new, private folder for uploads and answers' files, and delete it when the block ends.

    A file's address is its hash, keyed with a secret of this run, so that nobody who has the film can guess it.
    Gradio deletes uploads as its server shuts down, but not while a page is still connected. Folders that a killed
    server left behind are deleted first. Must surround whatever builds the app.

    Yields:
        The folder.
    """
    before = os.environ.get(VARIABLE)
    parent = Path(before or tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    _delete_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    with (folder / _LOCK).open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.environ[VARIABLE] = str(folder)
        processing_utils.hash_seed = secrets.token_bytes(32)
        try:
            yield folder
        finally:
            # Errors ignored: a request that is still being answered may write meanwhile.
            shutil.rmtree(folder, ignore_errors=True)
            if before is None:
                del os.environ[VARIABLE]
            else:
                os.environ[VARIABLE] = before


def _delete_abandoned(parent: Path) -> None:
    """Delete the folders of servers that run no more: their lock is free."""
    for lock_file in parent.glob(f"{_PREFIX}*/{_LOCK}"):
        with lock_file.open("r+", encoding="utf-8") as lock:
            if _is_free(lock):
                shutil.rmtree(lock_file.parent, ignore_errors=True)


def _is_free(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
