"""Exit code 0 while the app answers at its own address; for the container's health check."""

import os
import sys
import urllib.error
import urllib.request

PORT = os.environ.get("GRADIO_SERVER_PORT", "7860")
SECONDS = 5

try:
    with urllib.request.urlopen(
        f"http://127.0.0.1:{PORT}/gradio_api/startup-events", timeout=SECONDS
    ) as answer:
        sys.exit(answer.status != 200)
except (urllib.error.URLError, OSError) as error:
    sys.exit(f"the app does not answer: {error}")
