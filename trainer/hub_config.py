"""The configurations of publish and deploy; their field docs are the commands' help."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional


@dataclass(frozen=True)
class PublishConfig:
    """Publish a bundle on the Hugging Face Hub: one commit, then a tag."""

    folder: Positional[Path]
    """The bundle folder that the trainer wrote."""
    repo_id: str
    """Model repository, USER/NAME; it is created if it does not exist."""
    private: bool = False
    """Make a new repository private; refuse one that is public."""
    tag: str | None = None
    """Tag of this version; by default v and the bundle's version."""
    endpoint: bool = False
    """Add handler.py and the program, so that the model can be deployed as a Hugging Face Inference Endpoint."""
    space_id: str = ""
    """Space that serves the model, USER/NAME, for a link on the card."""
    code_url: str = ""
    """Address of the code, for a link on the card."""
    dry_run: bool = False
    """Verify and show what would change, and change nothing."""
    patience: float = 60.0
    """Seconds of silence after which the Hub counts as down."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclass(frozen=True)
class DeployConfig:
    """Create or update a Space on the Hugging Face Hub that serves a published model."""

    space_id: str
    """The Space, USER/NAME; it is created if it does not exist."""
    model_repo: str
    """The model repository that the Space serves, USER/NAME."""
    revision: str | None = None
    """Branch, tag or commit of the model; by default the newest."""
    private: bool = False
    """Make a new Space private."""
    dry_run: bool = False
    """Show what would change, and change nothing."""
    patience: float = 60.0
    """Seconds of silence after which the Hub counts as down."""
    debug: bool = False
    """Show the traceback of an error."""
