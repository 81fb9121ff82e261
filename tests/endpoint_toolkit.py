"""The contract of Hugging Face's server for custom handlers (huggingface-inference-toolkit), without its server.

That is not on PyPI. What it does with handler.py, and what it makes of a request, was read in its source: it loads
the file by its path with the repository's folder on sys.path, makes EndpointHandler(folder), opens a body of type
image/* with Pillow as RGB, reads one of type application/json, adds the address's query as parameters, and answers
what the handler raises as 400.

Run as `python -I tests/endpoint_toolkit.py FOLDER`: one JSON request a line on stdin, one answer a line on stdout.
"""

import base64
import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image


def load_handler(folder: str) -> Any:
    """The handler of a repository."""
    spec = importlib.util.spec_from_file_location("handler.EndpointHandler", Path(folder) / "handler.py")
    assert spec and spec.loader
    sys.path.insert(0, folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules["handler.EndpointHandler"] = module
    spec.loader.exec_module(module)
    return module.EndpointHandler(folder)


def answered(handler: Any, content_type: str, body: bytes, query: dict[str, Any]) -> tuple[int, Any]:
    """Status and JSON of a request."""
    try:
        if content_type.startswith("image/"):
            data: dict[str, Any] = {"inputs": Image.open(io.BytesIO(body)).convert("RGB")}
        else:
            data = json.loads(body)
        if "inputs" not in data:
            raise ValueError("Body needs to provide a inputs key")
        if query and "parameters" not in data:
            data["parameters"] = query
        return 200, handler(data)
    except Exception as error:  # as the toolkit does
        return 400, {"error": str(error)}


def foreign_modules() -> list[str]:
    """Top-level modules that are loaded and belong neither to Python nor to the repository."""
    names = {name.partition(".")[0] for name in sys.modules}
    own = {"cxr", "ui", "handler", "__main__"}
    return sorted(name for name in names - own - sys.stdlib_module_names if not name.startswith("_"))


if __name__ == "__main__":
    made = load_handler(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        body = base64.b64decode(request["body"])
        status, answer = answered(made, request["type"], body, request.get("query", {}))
        print(json.dumps({"status": status, "answer": answer, "loaded": foreign_modules()}), flush=True)
