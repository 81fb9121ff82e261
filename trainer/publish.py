"""A bundle -> the Hub: verified, shown, one commit, one tag."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, ModelCard, hf_hub_download
from yaml import YAMLError  # type: ignore[import-untyped]

from cxr.errors import BundleError, HubError, UsageError
from cxr.model.bundle import DESCRIPTION, Bundle, altered_files, load_bundle, write_description
from cxr.model.figures import METRICS_FILE, read_metrics
from cxr.serving.local import open_bundle
from trainer.card import Home, write_card
from trainer.endpoint import FOLDER, endpoint_files
from trainer.hub_client import Plan, Remote, look_at, open_client, plan, reported
from trainer.hub_config import PublishConfig


def publish(config: PublishConfig) -> str | None:
    """Publish a bundle as `config` says.

    Everything is verified before anything is sent; the branch moves in one commit or not at all.

    Returns:
        The commit's id, or None for a dry run.

    Raises:
        UsageError: the version is on the Hub already, or the repository is public against --private.
        BundleError: the bundle does not verify.
        HubError: the Hub does not take it.
    """
    bundle = verify(config.folder)
    tag = config.tag or f"v{bundle.description.version}"
    print(f"verified: {bundle.description.name} {bundle.description.version}, {_count(bundle)} files")
    api = open_client(config.patience)
    with reported("The repository could not be read from the Hub", "publish"):
        remote = look_at(api, config.repo_id, "model")
        tags = _tags(api, config.repo_id) if remote else {}
    _check(config, tag, remote, tags)
    with tempfile.TemporaryDirectory(prefix="cxr-release-") as scratch:
        with reported("The version on the Hub could not be read", "publish"):
            previous = _previous(config.repo_id, remote)
        changes = _planned(bundle, Path(scratch), previous, remote, config)
        _show(config, tag, remote, changes)
        if config.dry_run:
            print("dry run: nothing was changed")
            return None
        commit = _commit(api, config, tag, remote, changes)
    _tag(api, config, tag, commit)
    print(f"published: hub:{config.repo_id}@{tag} at {commit}\n{api.endpoint}/{config.repo_id}/tree/{tag}")
    return commit


def verify(folder: Path) -> Bundle:
    """Load the bundle as the app would, golden probe and all, and read its card. Raises BundleError."""

    bundle = load_bundle(folder)
    if altered := altered_files(folder):
        raise BundleError(
            f"These files are not as bundle.json lists them: {', '.join(altered)}. Restore the bundle."
        )
    open_bundle(folder)
    _read_card(folder)
    return bundle


def stage(bundle: Bundle, folder: Path, previous: dict[str, Any] | None, home: Home | None = None) -> Bundle:
    """A copy of the bundle whose card also says what changed and where it is found; verified again."""
    shutil.copytree(bundle.folder, folder, ignore=_only_listed(bundle))
    fields = bundle.description.model_dump(mode="json", exclude={"sha256"})
    write_card(folder, fields, read_metrics(folder / METRICS_FILE), previous, home)
    _read_card(folder)
    write_description(folder, fields)
    return load_bundle(folder)


def _only_listed(bundle: Bundle) -> Any:
    """What else lies in the folder, a note or an editor's backup, is not published."""
    listed = {DESCRIPTION, *bundle.description.sha256}

    def others(folder: str, names: list[str]) -> set[str]:
        here = Path(folder).relative_to(bundle.folder)
        files = {name for name in names if (Path(folder) / name).is_file()}
        return {name for name in files if (here / name).as_posix() not in listed}

    return others


def _read_card(folder: Path) -> None:
    try:
        front = ModelCard.load(folder / "README.md", ignore_metadata_errors=False).data
    except (OSError, ValueError, YAMLError) as error:
        raise BundleError(
            f"The front matter of the model card cannot be read: {str(error).splitlines()[0]}. "
            "Restore the bundle's README.md, or train the bundle again."
        ) from error
    missing = [key for key in ("license", "library_name", "pipeline_tag") if not front.get(key)]
    if missing:
        raise BundleError(
            f"The front matter of the model card lacks {', '.join(missing)}. Restore README.md."
        )


def _count(bundle: Bundle) -> int:
    return len(bundle.description.sha256) + 1


def _tags(api: HfApi, repo_id: str) -> dict[str, str]:
    return {tag.name: tag.target_commit for tag in api.list_repo_refs(repo_id).tags}


def _check(config: PublishConfig, tag: str, remote: Remote | None, tags: dict[str, str]) -> None:
    if tag in tags:
        raise UsageError(
            f"{tag} is on the Hub already, at {tags[tag][:12]}. Train with a higher --version, or pass another --tag."
        )
    if config.private and remote and not remote.private:
        raise UsageError(
            f"--private was given, but {config.repo_id} is public. Leave --private out, or name another repository."
        )


def _previous(repo_id: str, remote: Remote | None) -> dict[str, Any] | None:
    """bundle.json of what is on the Hub now, with its figures as `metrics`; None where there is none.

    `metrics` is None where they do not read: that bundle may be what this publish is to replace.
    """
    if remote is None or not {DESCRIPTION, METRICS_FILE} <= set(remote.files):
        return None
    described, measured = (
        Path(hf_hub_download(repo_id, name, revision=remote.commit)) for name in (DESCRIPTION, METRICS_FILE)
    )
    found: dict[str, Any] = json.loads(described.read_text(encoding="utf-8"))
    try:
        return {**found, "metrics": read_metrics(measured)}
    except BundleError:
        return {**found, "metrics": None}


def _is_there(bundle: Bundle, previous: dict[str, Any] | None) -> bool:
    """Whether the branch holds this very bundle, as after a publish that lost its answer or its tag.

    The card is left out: there, it says what changed since the version before.
    """

    def rest(sha256: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in sha256.items() if name != "README.md"}

    return previous is not None and rest(previous["sha256"]) == rest(bundle.description.sha256)


def _staged(bundle: Bundle, folder: Path, previous: dict[str, Any] | None, home: Home) -> dict[str, Path]:
    release = stage(bundle, folder, previous, home)
    return {name: release.folder / name for name in (DESCRIPTION, *release.description.sha256)}


def _planned(
    bundle: Bundle,
    scratch: Path,
    previous: dict[str, Any] | None,
    remote: Remote | None,
    config: PublishConfig,
) -> Plan:
    """What the release's commit changes: the bundle, and what an endpoint needs beside it where that is asked for."""
    home = Home(config.repo_id, config.space_id, config.code_url)
    files = {} if _is_there(bundle, previous) else _staged(bundle, scratch / "release", previous, home)
    obsolete = set(previous["sha256"]) if previous and files else set()
    there = {name for name in remote.files if name.startswith(FOLDER)} if remote else set()
    if config.endpoint:
        files |= endpoint_files(bundle, scratch)
        obsolete |= there
    elif there:
        print("note: the files of its Inference Endpoint stay as they are; --endpoint renews them")
    return plan(files, remote, obsolete)


def _show(config: PublishConfig, tag: str, remote: Remote | None, changes: Plan) -> None:
    if not changes:
        print(f"{config.repo_id} holds this bundle already; it becomes {tag}")
        return
    kind = "a new repository" if remote is None else f"now at {remote.commit[:12]}"
    print(f"{config.repo_id} ({kind}) becomes {tag}:", *changes.lines(), sep="\n")


def _commit(api: HfApi, config: PublishConfig, tag: str, remote: Remote | None, changes: Plan) -> str:
    if remote is None:
        with reported("The repository could not be created on the Hub", "publish"):
            api.create_repo(config.repo_id, private=config.private or None, exist_ok=True)
            remote = look_at(api, config.repo_id, "model")
        if remote is None:
            raise HubError("The Hub does not show the new repository. Run publish again.")
    if not changes:
        return remote.commit
    with reported(f"The commit to {config.repo_id}, made whole or not at all, is not confirmed", "publish"):
        done = api.create_commit(
            config.repo_id,
            changes.operations(),
            commit_message=f"Release {tag}",
            parent_commit=remote.commit,
        )
    return str(done.oid)


def _tag(api: HfApi, config: PublishConfig, tag: str, commit: str) -> None:
    with reported(f"The commit {commit[:12]} is on the Hub, but its tag {tag} is not", "the same publish"):
        api.create_tag(config.repo_id, tag=tag, revision=commit)
