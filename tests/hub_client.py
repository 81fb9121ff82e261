"""Works with a Hub in a process of its own, since the Hub's clients read their environment when they are imported.

Reads one JSON request a line, writes one JSON answer a line. A request opens hub: data, or runs python -m trainer.
"""

import contextlib
import io
import json
import os
import sys
from typing import Any

import huggingface_hub.constants

from cxr.data.sources import open_data
from cxr.errors import CxrError
from cxr.files import sha256_of


def opened(data: str, endpoint: str) -> dict[str, Any]:
    """The films of DATA with the hash of their bytes, or the error that a command would show."""
    huggingface_hub.constants.ENDPOINT = endpoint
    try:
        source = open_data(data)
    except CxrError as error:
        return {"error": type(error).__name__, "message": str(error)}
    identity = source.identity
    return {
        "id": identity.id,
        "revision": identity.revision,
        "notes": identity.notes,
        "films": [
            [film.path, film.split, film.label, film.subtype, film.patient, sha256_of(source.read(film))]
            for film in source.films
        ],
    }


def command(argv: list[str], token: str) -> dict[str, Any]:
    """Exit code and output of python -m trainer with a token; "" is none."""
    from trainer.__main__ import main

    os.environ["HF_TOKEN"] = token
    sys.argv = ["python -m trainer", *argv]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main()
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    for line in sys.stdin:
        request = json.loads(line)
        found = command(**request) if "argv" in request else opened(**request)
        print(json.dumps(found), flush=True)
