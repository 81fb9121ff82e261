"""What a Hugging Face Inference Endpoint starts: `python -m trainer publish --endpoint` puts it beside the weights."""

import sys
from pathlib import Path

# The program lies beside this file, as it was when the model was published; nothing is fetched.
sys.path.insert(0, str(Path(__file__).resolve().parent / "endpoint"))

from ui.api.endpoint import EndpointHandler

__all__ = ["EndpointHandler"]
