"""MODEL=hub:... over HTTP: what serves when the Hub answers, and when it does not."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import hub_server
import pytest
from hub_kit import REPO, environment, files_of, released
from hub_server import Fault

from cxr.errors import CxrError, HubError, UsageError
from cxr.files import sha256_of
from cxr.imaging.decode import from_array
from cxr.model.bundle import is_for_the_record, load_bundle
from cxr.phantom import make_phantom
from cxr.serving import hub as puller
from cxr.serving.hub import HubModel, Patience
from cxr.serving.opening import open_model
from cxr.serving.slot import Served, Serving
from cxr.serving.watch import Watch

KEY = ("models", REPO)
MODEL = f"hub:{REPO}"
QUICK = Patience(answer=6, renewal=6, first=6)
FILM = from_array(make_phantom(1, "bacterial").pixels)


@pytest.fixture(scope="module")
def hub() -> Iterator[hub_server.Hub]:
    with hub_server.serve() as hub:
        yield hub


@pytest.fixture(autouse=True)
def fresh(hub: hub_server.Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty Hub and an empty cache for each test."""
    for kept in (hub.repos, hub.tags, hub.requests, hub.faults):
        kept.clear()
    for name, value in environment(hub.url, tmp_path / "hf_home").items():
        monkeypatch.setenv(name, value)
    # Read at import, so this process must be told too; the one that fetches reads the environment.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf_home" / "hub"))


@pytest.fixture(scope="module")
def versions(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    """Three releases, as the contents of commits."""
    folder = tmp_path_factory.mktemp("versions")
    made = [released(small_bundle, folder / f"v{n}", f"0.{n}.0", 0.3 + n / 10) for n in (1, 2, 3)]
    return [files_of(path) for path in made]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """The lines of the log of cxr.serving, as they come."""
    lines: list[str] = []
    caplog.set_level(logging.INFO, "cxr.serving")
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("cxr.serving").addHandler(handler)
    yield lines
    logging.getLogger("cxr.serving").removeHandler(handler)


def opened(model: str = MODEL, revision: str | None = None) -> Served:
    return open_model(model, revision, patience=QUICK)


def version(served: Served) -> str:
    return served.predictor.identity.version


def test_a_pull_fetches_what_serving_needs_and_answers_as_the_bundle(hub, versions, small_bundle, log):
    sha = hub.commit(*KEY, versions[0])
    served = opened()
    identity = served.predictor.identity
    assert (served.state, identity.source, identity.revision) == ("as_asked", MODEL, sha)
    assert log == [f"model: {MODEL} 0.1.0 at {sha}"]
    fetched = {line.partition("/resolve/")[2][41:] for line in hub.requests if line.startswith("GET /owner")}
    listed = load_bundle(small_bundle).description.sha256
    assert fetched == {"bundle.json", *(name for name in listed if not is_for_the_record(name))}
    assert "model.h5" in fetched and "README.md" not in fetched and "manifest.csv" not in fetched
    here = open_model(str(small_bundle))
    assert served.predictor.predict(FILM).probability == pytest.approx(
        here.predictor.predict(FILM).probability, abs=1e-6
    )


def test_a_second_pull_fetches_no_file_again(hub, versions, log):
    hub.commit(*KEY, versions[0])
    opened()
    hub.requests.clear()
    assert opened().state == "as_asked"
    assert not [line for line in hub.requests if line.startswith("GET /owner")]


def test_revisions(hub, versions, log):
    old = hub.commit(*KEY, versions[0])
    new = hub.commit(*KEY, versions[1])
    hub.tags[KEY] = {"v0.1.0": old}
    assert opened().predictor.identity.revision == new
    for served in (
        opened(f"{MODEL}@v0.1.0"),
        opened(revision="v0.1.0"),
        opened(f"{MODEL}@{old}"),
    ):
        assert served.predictor.identity.revision == old and version(served) == "0.1.0"


def test_a_commit_in_the_cache_serves_without_asking(hub, versions, log):
    sha = hub.commit(*KEY, versions[0])
    opened(f"{MODEL}@{sha}")
    hub.requests.clear()
    assert opened(f"{MODEL}@{sha}").state == "as_asked"
    assert hub.requests == []


BROKEN_OFF = "reset by peer|peer closed connection|received .* expected|broke off"
# What goes wrong at which request, and why, in the log.
FAULTS = {
    "503": (Fault(503), r"the Hub failed \(HTTP 503\)"),
    "reset": (Fault("reset"), r"reset|no connection"),
    "hang": (Fault("hang"), "no answer"),
    "slow": (Fault("slow"), "no answer"),
    "truncated answer": (Fault("truncate", "GET /api"), BROKEN_OFF),
    "truncated file": (Fault("truncate", "GET /owner/cxr/resolve/.*model.h5"), BROKEN_OFF),
    "hang at a file": (Fault("hang", "GET /owner/cxr/resolve/.*model.h5"), "no answer"),
    "wrong bytes": (Fault("alter", "GET /owner/cxr/resolve/.*model.h5"), "sha256"),
    "wrong description": (Fault("alter", "GET /owner/cxr/resolve/.*bundle.json"), "the answer is not JSON"),
    "access lost": (Fault(403), "may not do that"),
    "token refused": (Fault(401), "does not accept your token|no such repository"),
    "deleted": (Fault(404), "HTTP 404"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_with_a_cached_model_it_serves_and_says_why(hub, versions, log, name):
    fault, why = FAULTS[name]
    first = hub.commit(*KEY, versions[0])
    expected = opened().predictor.predict(FILM).probability
    # Another file than the cached one; HDF5 ignores what follows its end.
    hub.commit(*KEY, versions[1] | {"model.h5": versions[1]["model.h5"] + b"\0"})
    hub.faults.append(Fault(fault.kind, fault.match))
    log.clear()
    served = opened()
    assert (served.state, served.predictor.identity.revision) == ("cached", first)
    assert served.predictor.predict(FILM).probability == expected
    assert len(log) == 2 and re.search(why, log[0]), log
    assert log[0].startswith("the cached model serves, because: ")
    assert log[1] == f"model: {MODEL} 0.1.0 at {first}, from the cache"


@pytest.mark.parametrize("name", ["503", "reset", "hang", "truncated file", "wrong bytes", "access lost"])
def test_with_nothing_cached_it_is_refused_and_nothing_else_serves(hub, versions, log, name):
    fault, why = FAULTS[name]
    hub.commit(*KEY, versions[0])
    hub.faults.append(Fault(fault.kind, fault.match))
    with pytest.raises(CxrError) as refused:
        opened()
    assert re.search(why, str(refused.value)) and "\n" not in str(refused.value) and log == []


def test_a_refused_connection(hub, versions, log, monkeypatch):
    hub.commit(*KEY, versions[0])
    opened()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert opened().state == "cached"


def test_offline_by_the_users_wish(hub, versions, log, monkeypatch):
    hub.commit(*KEY, versions[0])
    opened()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.requests.clear()
    assert opened().state == "cached" and "HF_HUB_OFFLINE" in log[-2]
    assert hub.requests == []


def test_bytes_that_were_damaged_once_are_fetched_again(hub, versions, log):
    hub.commit(*KEY, versions[0])
    hub.faults.append(Fault("alter", "GET /owner/cxr/resolve/.*model.h5", times=1))
    assert opened().state == "as_asked"


def test_a_commit_that_does_not_verify_never_serves_nor_later(hub, versions, log):
    """The branch's newest commit is broken on the Hub itself; the one before goes on, also without network."""
    good = hub.commit(*KEY, versions[0])
    opened()
    hub.commit(*KEY, versions[1] | {"metrics.json": b"{}"})
    assert opened().predictor.identity.revision == good
    hub.faults.append(Fault(503))
    assert opened().predictor.identity.revision == good


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"README.md": b"hello"}, "no such file"),
        ({"bundle.json": b"[]"}, "lists no files"),
        ({"bundle.json": b"{"}, "the answer is not JSON"),
        ({"bundle.json": b'{"sha256": {}}'}, "schema_version"),
        ({"bundle.json": b'{"sha256": {"../../x": "0"}}'}, "schema_version"),
    ],
)
def test_a_repository_of_another_kind(hub, log, files, said):
    hub.commit(*KEY, files)
    with pytest.raises(CxrError, match=said):
        opened()


def test_unknown_repository_and_revision(hub, versions, log):
    hub.commit(*KEY, versions[0])
    with pytest.raises(HubError, match="no such repository"):
        opened("hub:owner/nowhere")
    with pytest.raises(HubError, match="no such revision"):
        opened(f"{MODEL}@v9")


@pytest.mark.parametrize(
    ("model", "revision"),
    [
        ("hub:cxr", None),
        ("hub:a/b/c", None),
        ("hub:a/b@../../x", None),
        ("hub:a/b", "../x"),
        ("hub:a/b@v1", "v2"),
    ],
)
def test_forms_that_are_none(model, revision):
    with pytest.raises(UsageError):
        puller.parse_hub_model(model, revision)


def test_the_default_serves_only_where_no_model_was_named(small_bundle, tmp_path, log):
    served = open_model(None, None, small_bundle)
    assert served.state == "default" and log == ["model: bundle 0.1.0, the embedded default"]
    with pytest.raises(UsageError):
        open_model(str(tmp_path / "nowhere"), None, small_bundle)
    with pytest.raises(
        UsageError, match=r"MODEL_REVISION=v1 needs MODEL=hub:OWNER/NAME, but MODEL is .*\. Unset"
    ):
        open_model(str(small_bundle), "v1", small_bundle)


# --- The watch


def watching(log: list[str]) -> tuple[Serving, Watch, list[str]]:
    serving = Serving(opened())
    prepared: list[str] = []
    log.clear()

    def prepare(predictor) -> None:
        assert serving.now.predictor is not predictor, "it serves before it is ready"
        prepared.append(predictor.identity.version)

    return serving, Watch(serving, MODEL, None, prepare, QUICK), prepared


def test_the_watch_exchanges_for_a_new_commit_and_only_then(hub, versions, log):
    hub.commit(*KEY, versions[0])
    serving, watch, prepared = watching(log)
    before = serving.now
    watch.look()
    assert serving.now is before and log == []
    new = hub.commit(*KEY, versions[1])
    watch.look()
    assert version(serving.now) == "0.2.0" and prepared == ["0.2.0"]
    assert log == [f"model: {MODEL} 0.2.0 at {new}"]
    assert version(before) == "0.1.0", "a request that has begun keeps its model"
    assert before.predictor.decision.threshold == pytest.approx(0.4)
    assert serving.now.predictor.decision.threshold == pytest.approx(0.5)


def test_the_watch_stays_where_the_new_commit_does_not_verify(hub, versions, log):
    hub.commit(*KEY, versions[0])
    serving, watch, prepared = watching(log)
    hub.commit(*KEY, versions[1] | {"metrics.json": b"{}"})
    watch.look()
    assert version(serving.now) == "0.1.0" and prepared == []
    assert len(log) == 1 and "goes on serving, because: metrics.json was altered: its sha256 is " in log[0]
    hub.requests.clear()
    watch.look()
    assert not [line for line in hub.requests if "/resolve/" in line], "it was fetched again"
    hub.commit(*KEY, versions[2])
    watch.look()
    assert version(serving.now) == "0.3.0"


def test_the_watch_stays_where_the_new_commit_lacks_a_figure(hub, versions, log):
    """Whole and as it is listed, but made by something that does not know all figures."""
    metrics = json.loads(versions[1]["metrics.json"])
    metrics["validation"].pop("sensitivity")
    lacking = json.dumps(metrics).encode()
    described = json.loads(versions[1]["bundle.json"])
    described["sha256"]["metrics.json"] = sha256_of(lacking)
    hub.commit(*KEY, versions[0])
    serving, watch, prepared = watching(log)
    hub.commit(*KEY, versions[1] | {"metrics.json": lacking, "bundle.json": json.dumps(described).encode()})
    watch.look()
    assert version(serving.now) == "0.1.0" and prepared == []
    assert len(log) == 1
    assert "because: metrics.json cannot be used: validation.sensitivity: Field required. " in log[0]


def test_the_watch_outlives_a_hub_that_is_away_and_says_it_once(hub, versions, log):
    hub.commit(*KEY, versions[0])
    serving, watch, _ = watching(log)
    hub.faults.append(Fault(503))
    watch.look()
    watch.look()
    assert len(log) == 1 and "HTTP 503" in log[0] and version(serving.now) == "0.1.0"
    hub.faults.clear()
    hub.commit(*KEY, versions[1])
    watch.look()
    assert version(serving.now) == "0.2.0"


def test_the_watch_notes_that_the_hub_is_back(hub, versions, log):
    hub.commit(*KEY, versions[0])
    opened()
    hub.faults.append(Fault(503))
    serving, watch, _ = watching(log)
    assert serving.now.state == "cached"
    hub.faults.clear()
    watch.look()
    assert serving.now.state == "as_asked"


def test_a_hub_that_sends_but_slowly_is_waited_for_where_nothing_else_could_serve(hub, versions):
    hub.commit(*KEY, versions[0])
    hub.faults.append(Fault("slow", "GET /owner/cxr/resolve/.*examples.csv"))
    with pytest.raises(HubError, match="no answer within 2 s"):
        puller.fetch(HubModel(REPO), Patience(answer=20, renewal=1, first=2))
