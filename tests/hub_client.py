"""Opens hub: data in a process of its own, since the Hub's clients read their environment when they are imported.

Reads one JSON request a line, writes one JSON answer a line.
"""

import json
import sys
from typing import Any

import huggingface_hub.constants

from cxr.errors import CxrError
from cxr.files import sha256_of
from cxr.sources import open_data


def answer(data: str, endpoint: str) -> dict[str, Any]:
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


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), flush=True)
