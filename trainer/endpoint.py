"""What a model repository holds beside the bundle so that it can be deployed as an Inference Endpoint."""

from pathlib import Path

from cxr.errors import HubError
from cxr.files import write_bytes, write_text
from cxr.model.bundle import Bundle
from trainer.deploy import ROOT, program_files

FOLDER = "endpoint/"
_PROGRAM = (
    "LICENSE",
    "cxr",
    "ui/__init__.py",
    "ui/words",
    "ui/api/__init__.py",
    "ui/api/batch.py",
    "ui/api/endpoint.py",
    "ui/api/limits.py",
    "ui/api/schema.py",
    "ui/api/served_model.py",
)
"""What the handler imports: no Gradio, no TensorFlow."""
_LIBRARIES = ("babel", "numpy", "onnxruntime", "pillow", "pydantic", "pydicom", "python-gdcm")
"""Of requirements.txt. Not huggingface_hub: the endpoint's own image pins an older one."""


def endpoint_files(bundle: Bundle, scratch: Path) -> dict[str, Path]:
    """handler.py, its requirements.txt and the program, by their names in the repository.

    Args:
        bundle: The bundle beside which they will lie.
        scratch: Folder for what is made for the occasion.

    Raises:
        BundleError: The bundle has no model.onnx that verifies, and an endpoint has no Keras.
    """
    # Once more under a name that a server set up for PyTorch downloads too (ui.api.endpoint.EXPORT_COPY).
    network = scratch / "network"
    write_bytes(network, bundle.read_export())
    requirements = scratch / "requirements.txt"
    write_text(requirements, "".join(f"{line}\n" for line in _requirements()))
    return {
        "handler.py": ROOT / "deploy" / "endpoint" / "handler.py",
        "requirements.txt": requirements,
        f"{FOLDER}network": network,
        **{f"{FOLDER}{name}": path for name, path in program_files(_PROGRAM).items()},
    }


def _requirements() -> list[str]:
    listed = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in listed if line.partition(">")[0] in _LIBRARIES]
    if len(kept) != len(_LIBRARIES):
        raise HubError(f"requirements.txt lacks one of {', '.join(_LIBRARIES)}. Restore it.")
    return kept
