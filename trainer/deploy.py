"""The app -> a Space: what app.py needs at run time, one commit, and MODEL as a Space variable."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import HfApi, RepoCard

from cxr.errors import HubError
from cxr.files import write_text
from cxr.serving.hub import parse_hub_model
from trainer.hub_client import Plan, Remote, look_at, open_client, plan, reported
from trainer.hub_config import DeployConfig

ROOT = Path(__file__).resolve().parent.parent
README = "README.md"
NEEDED = ("app.py", "requirements.txt", "LICENSE", "cxr", "evaluation", "ui", "bundles/default")
"""What the app reads at run time, besides the README, which says how the Space runs it."""
FRONT_MATTER = (
    "title",
    "sdk",
    "sdk_version",
    "python_version",
    "app_file",
    "license",
    "short_description",
    "tags",
)


def deploy(config: DeployConfig) -> str | None:
    """Deploy the app as `config` says.

    Returns:
        The Space's address, or None for a dry run.

    Raises:
        UsageError: the model's name or revision has another form.
        HubError: the model is not published, or the Hub does not take the app.
    """
    model = f"hub:{config.model_repo}" + (f"@{config.revision}" if config.revision else "")
    asked = parse_hub_model(model)
    api = open_client(config.patience)
    with reported("The model and the Space could not be read from the Hub", "deploy"):
        published = look_at(api, asked.repo, "model")
        remote = look_at(api, config.space_id, "space")
    if published is None:
        raise HubError(f"The Hub does not have the model {asked.repo}. Publish it first.")
    with tempfile.TemporaryDirectory(prefix="cxr-space-") as scratch:
        files = {**space_files(), README: write_readme(Path(scratch) / README, asked.repo)}
        changes = plan(files, remote, set(remote.files) - {".gitattributes"} if remote else set())
        kind = "a new Space" if remote is None else f"now at {remote.commit[:12]}"
        print(f"{config.space_id} ({kind}) serves {model}:", *changes.lines(), sep="\n")
        if published.private and not (remote.private if remote else config.private):
            print("note: the model is private; the Space needs a secret HF_TOKEN that may read it")
        if config.dry_run:
            print("dry run: nothing was changed")
            return None
        remote = remote or _create(api, config)
        # Before the code, so that its first start finds it.
        with reported(f"The variable MODEL of {config.space_id} could not be set", "deploy"):
            api.add_space_variable(config.space_id, "MODEL", model)
        _commit(api, config, remote, changes)
    address = f"{api.endpoint}/spaces/{config.space_id}"
    print(f"deployed: {address}")
    return address


def space_files() -> dict[str, Path]:
    """The files of the Space by their names in it, all but the README."""
    return program_files(NEEDED)


def program_files(names: Iterable[str]) -> dict[str, Path]:
    """Files of the project by their names in it, and those in its folders; without what Python and Gradio write."""
    found: dict[str, Path] = {}
    for name in names:
        path = ROOT / name
        inner = [path] if path.is_file() else sorted(part for part in path.rglob("*") if part.is_file())
        # ui/**/*.pyi are written by Gradio when it runs.
        kept = [
            part for part in inner if "__pycache__" not in part.parts and part.suffix not in (".pyc", ".pyi")
        ]
        found |= {part.relative_to(ROOT).as_posix(): part for part in kept}
    return found


def write_readme(path: Path, model_repo: str) -> Path:
    """The Space's README: this project's front matter with the model in it, and the first words of its README.

    Raises HubError where the front matter lacks what a Space needs.
    """
    card = RepoCard.load(ROOT / README)
    missing = [key for key in FRONT_MATTER if not card.data.get(key)]
    if missing:
        raise HubError(
            f"The front matter of README.md, which says how to run the Space, lacks {', '.join(missing)}."
        )
    card.data["models"] = [model_repo]
    opening = card.text.split("\n![", 1)[0].split("\n## ", 1)[0]
    plain = [line for line in opening.splitlines() if not line.startswith("[")]  # links into the repository
    card.text = (
        "\n".join(plain).strip() + f"\n\nModel: [{model_repo}](https://huggingface.co/{model_repo}).\n"
    )
    write_text(path, str(card))
    return path


def _create(api: HfApi, config: DeployConfig) -> Remote:
    with reported(
        "The Gradio Space could not be created; a free account may need ZeroGPU hardware or a paid plan for it",
        "deploy",
    ):
        api.create_repo(
            config.space_id,
            repo_type="space",
            space_sdk="gradio",
            private=config.private or None,
            exist_ok=True,
        )
        made = look_at(api, config.space_id, "space")
    if made is None:
        raise HubError("The Hub does not show the new Space. Run deploy again.")
    return made


def _commit(api: HfApi, config: DeployConfig, remote: Remote, changes: Plan) -> None:
    if not changes:
        return
    with reported(f"The commit to {config.space_id}, made whole or not at all, is not confirmed", "deploy"):
        api.create_commit(
            config.space_id,
            changes.operations(),
            repo_type="space",
            commit_message="Deploy the app",
            parent_commit=remote.commit,
        )
