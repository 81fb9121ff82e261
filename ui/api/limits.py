"""How long uploads stay, and how many calls may run and wait."""

from typing import Any

KEEP_SECONDS, CLEAN_EVERY_SECONDS = 300, 60
"""Uploads are deleted when they are this old, looked for this often."""
MAX_UPLOAD_BYTES = 512 * 2**20
"""One uploaded file: a .zip of films may be larger than a film."""
WAITING_ROOM = 64
"""Calls that may wait; the next one is told that the queue is full."""
AT_ONCE = 2
"""Calls that use the network at the same time."""

NETWORK: dict[str, Any] = {"concurrency_limit": AT_ONCE, "concurrency_id": "network"}
"""For every event that uses the network: they share one limit."""
