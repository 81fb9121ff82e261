"""python -m trainer publish through the real client, over HTTP, against a small Hub of our own."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hub_server
import pytest
from hub_kit import REPO, Ask, client, files_of, released
from hub_server import READER, WRITER, Fault

from cxr.model.bundle import load_bundle, write_description

KEY = ("models", REPO)
COMMIT = r"POST /api/models/owner/cxr/commit/"


@pytest.fixture(scope="module")
def hub() -> Iterator[hub_server.Hub]:
    with hub_server.serve() as hub:
        yield hub


@pytest.fixture(autouse=True)
def fresh(hub: hub_server.Hub) -> None:
    """An empty Hub for each test."""
    for kept in (hub.repos, hub.tags, hub.stored, hub.requests, hub.faults, hub.private):
        kept.clear()


@pytest.fixture(scope="module")
def ask(hub: hub_server.Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with client(hub.url, tmp_path_factory.mktemp("hf_home")) as ask:
        yield ask


@pytest.fixture
def publish(ask: Ask, small_bundle: Path):
    """Run the command; returns its answer."""

    def run(*options: str, folder: Path = small_bundle, token: str = WRITER, patience: float = 20):
        argv = ["publish", str(folder), "--repo-id", REPO, "--patience", str(patience), *options]
        return ask(argv=argv, token=token)

    return run


def refused(answer) -> str:
    """The one line of a command that failed."""
    assert answer["code"] == 2, answer
    lines = [line for line in answer["err"].splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in answer["err"], answer["err"]
    # What is wrong, and what to do, in sentences.
    assert re.fullmatch(r"error: .+\. [A-Z].+\.", lines[0]), lines[0]
    assert "hf_" not in answer["err"] + answer["out"], "the token is shown"
    return lines[0]


def test_first_release_is_one_commit_and_a_tag(hub, publish, small_bundle):
    answer = publish()
    assert answer["code"] == 0, answer
    made, released_ = hub.repos[KEY]
    assert set(made.files) == {".gitattributes"}, "the repository's own first commit"
    listed = load_bundle(small_bundle).description.sha256
    assert set(released_.files) == {*listed, "bundle.json", ".gitattributes"}
    assert hub.tags[KEY] == {"v0.1.0": released_.sha} and released_.sha in answer["out"]
    assert sum(bool(re.match(COMMIT, line)) for line in hub.requests) == 1
    assert KEY not in hub.private
    assert "Changes since" not in released_.files["README.md"].decode()


def test_what_is_published_is_a_whole_bundle(hub, publish, small_bundle, tmp_path):
    publish()
    for name, content in hub.find("models", REPO).files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    there, here = load_bundle(tmp_path).description, load_bundle(small_bundle).description
    assert there.model_dump(exclude={"sha256"}) == here.model_dump(exclude={"sha256"})


def test_the_published_card_says_where_it_is_found_and_claims_no_more(hub, publish):
    publish("--space-id", "owner/try-it", "--code-url", "https://code.example/cxr")
    card = hub.find("models", REPO).files["README.md"].decode()
    assert (
        f'open_model("hub:{REPO}@v0.1.0")' in card and f"url     = {{https://huggingface.co/{REPO}}}" in card
    )
    assert "https://huggingface.co/spaces/owner/try-it" in card and "https://code.example/cxr" in card
    assert "OWNER/NAME" not in card and "@software{" in card
    front = card.split("---")[1]
    # With "keras" the Hub would offer keras.saving.load_model("hf://..."), which this repository does not serve.
    assert "library_name: cxr" in front and "- recall" in front and "- sensitivity" not in front


def test_next_release_says_what_changed_and_keeps_the_rest(hub, publish, small_bundle, tmp_path):
    publish()
    first = hub.find("models", REPO)
    second = released(small_bundle, tmp_path / "second", "0.2.0", threshold=0.75)
    (second / "recipe.json").unlink()
    (second / "extra.csv").write_text("a,b\n")
    write_description(second, load_fields(second))
    (second / "notes.txt").write_text("mine alone")
    answer = publish(folder=second)
    assert answer["code"] == 0, answer
    head = hub.find("models", REPO)
    assert hub.tags[KEY] == {"v0.1.0": first.sha, "v0.2.0": head.sha} and len(hub.repos[KEY]) == 3
    assert {"changed bundle.json", "new extra.csv", "removed recipe.json"} <= shown(answer["out"])
    assert "recipe.json" not in head.files and "notes.txt" not in head.files
    card = head.files["README.md"].decode()
    assert "## Changes since 0.1.0" in card and "| decision.threshold |" in card and "0.75" in card
    uploads = [line for line in hub.requests if line.startswith("PUT")]
    assert len(uploads) == len(set(uploads)), "the same content went twice"


def load_fields(folder: Path) -> dict:
    fields = json.loads((folder / "bundle.json").read_text())
    fields.pop("sha256")
    return fields


def shown(out: str) -> set[str]:
    return {" ".join(line.split()[:2]) for line in out.splitlines() if line.startswith("  ")}


def test_dry_run_changes_nothing(hub, publish):
    answer = publish("--dry-run")
    assert answer["code"] == 0 and "new model.h5" in shown(answer["out"]), answer
    assert not hub.repos and not hub.tags
    assert not [line for line in hub.requests if not line.startswith("GET")]


def test_private(hub, publish):
    assert publish("--private")["code"] == 0
    assert KEY in hub.private


def test_private_refuses_a_public_repository(hub, publish):
    hub.commit(*KEY, {"x": b"x"})
    assert "owner/cxr is public" in refused(publish("--private"))
    assert len(hub.repos[KEY]) == 1


def test_a_version_that_is_tagged_is_refused(hub, publish, small_bundle, tmp_path):
    publish()
    again = released(small_bundle, tmp_path / "again", "0.1.0", threshold=0.7)
    assert "v0.1.0 is on the Hub already" in refused(publish(folder=again))
    assert len(hub.repos[KEY]) == 2


# What goes wrong at which request, and what the line has to say. The branch stays as it was in all of them.
FAULTS = {
    "no connection at look": (
        Fault("reset", "GET /api/models"),
        "The repository could not be read from the Hub",
    ),
    "Hub down at look": (Fault(503, "GET /api/models"), r"the Hub failed \(HTTP 503\)"),
    "hang at look": (Fault("hang", "GET /api/models"), "no answer in time"),
    "no right to create": (Fault(403, "POST /api/repos/create"), "may not do that.*may write"),
    "card refused": (Fault(400, "POST /api/validate-yaml"), "Invalid metadata in README.md"),
    "reset at commit": (Fault("reset", COMMIT), "whole or not at all.*publish again"),
    "Hub down at commit": (Fault(503, COMMIT), r"HTTP 503"),
    "no right to commit": (Fault(403, COMMIT), "may not do that"),
    "hang at commit": (Fault("hang", COMMIT), "no answer in time"),
    "parent moved": (Fault(412, COMMIT), "branch has moved on.*: run the command again"),
    "upload refused": (Fault(400, "PUT /upload"), "publish again"),
    "quota": (Fault(402, COMMIT), "paid plan"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_leaves_the_branch_as_it_was(hub, publish, name):
    fault, said = FAULTS[name]
    if "create" not in name:
        hub.commit(*KEY, {"x": b"x"})
    before = dict(hub.repos)
    hub.faults.append(replace(fault))
    answer = publish(patience=2)
    assert re.search(said, refused(answer)), answer["err"]
    assert hub.repos == before and len(hub.repos.get(KEY, [])) <= 1 and not hub.tags


def test_somebody_else_commits_in_between(hub, publish):
    hub.commit(*KEY, {"x": b"x"})

    class Racing(Fault):
        def hits(self, line: str) -> bool:
            if re.match(COMMIT, line):
                hub.faults.clear()
                hub.commit(*KEY, {"theirs": b"first"})
            return False

    hub.faults.append(Racing(412))
    assert "branch has moved on" in refused(publish())
    assert set(hub.find(*KEY).files) == {"theirs"} and not hub.tags


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "HTTP 401.*hf auth login"),
        ("hf_wrong", "HTTP 401.*hf auth login"),
        (READER, "HTTP 403.*may write"),
    ],
)
def test_tokens_that_may_not_write(hub, publish, token, said):
    hub.commit(*KEY, {"x": b"x"})
    assert re.search(said, refused(publish(token=token)))
    assert len(hub.repos[KEY]) == 1


@pytest.mark.parametrize(
    "fault", [Fault(503, "POST .*/tag/", times=1), Fault("truncate", COMMIT, times=1)], ids=["tag", "answer"]
)
def test_the_same_command_again_finishes_what_a_fault_left(hub, publish, fault):
    """The tag failed, or the answer to a commit was lost: the branch holds the release, and only the tag is missing."""
    hub.faults.append(replace(fault))
    said = refused(publish())
    assert "again" in said and not hub.tags and len(hub.repos[KEY]) == 2
    answer = publish()
    assert answer["code"] == 0 and "holds this bundle already" in answer["out"], answer
    assert hub.tags[KEY] == {"v0.1.0": hub.find(*KEY).sha} and len(hub.repos[KEY]) == 2


def test_an_upload_that_fails_once_is_tried_again(hub, publish):
    hub.faults.append(Fault(503, "PUT /upload", times=1))
    assert publish()["code"] == 0


BROKEN = {
    "altered": (lambda folder: append(folder / "model.h5"), "model.h5 was altered: its sha256 is "),
    "golden probe": (
        lambda folder: rewrite(folder, probe={"logit": 3.0, "tolerance": 1e-3}),
        "The golden probe's logit is ",
    ),
    "no card": (lambda folder: forget(folder, "README.md"), "README.md"),
    "no front matter": (lambda folder: card(folder, "# Mine\n"), "license"),
    "broken front matter": (lambda folder: card(folder, "---\na: [\n---\n"), "front matter"),
    "not a bundle": (lambda folder: shutil.rmtree(folder), "bundle is not a bundle: it has no bundle.json. "),
}


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def rewrite(folder: Path, **changes) -> None:
    write_description(folder, load_fields(folder) | changes)


def forget(folder: Path, name: str) -> None:
    (folder / name).unlink()
    rewrite(folder)


def card(folder: Path, text: str) -> None:
    (folder / "README.md").write_text(text)
    rewrite(folder)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_bundle_never_reaches_the_hub(hub, publish, small_bundle, tmp_path, name):
    break_it, said = BROKEN[name]
    folder = Path(shutil.copytree(small_bundle, tmp_path / "bundle"))
    break_it(folder)
    assert said in refused(publish(folder=folder))
    assert hub.requests == []


def test_files_of_a_folder_are_its_bundle(small_bundle):
    assert set(files_of(small_bundle)) == {"bundle.json", *load_bundle(small_bundle).description.sha256}
