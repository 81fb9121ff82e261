"""The log: one place, text or JSON, and a line a request that holds nothing of what was sent."""

import json
import logging
import re

import pytest

from cxr import log
from cxr.errors import ImageError, UsageError
from cxr.log import configure, kept_in, logged


def test_text_lines_of_ours_from_info_on_and_of_others_from_warning_on(capsys, monkeypatch):
    monkeypatch.delenv(log.VARIABLE, raising=False)
    configure()
    logging.getLogger("cxr.serving").info("model %s serves", "a/b")
    logging.getLogger("httpx2").info("GET https://example.org")
    logging.getLogger("httpx2").warning("slow")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("INFO cxr.serving: model a/b serves")
    assert second.endswith("WARNING httpx2: slow")


def test_json_lines_have_the_requests_fields(capsys, monkeypatch):
    monkeypatch.setenv(log.VARIABLE, "json")
    configure()
    with logged("predict"):
        pass
    line = json.loads(capsys.readouterr().err)
    assert line["level"] == "INFO"
    assert (line["endpoint"], line["outcome"]) == ("predict", "ok")
    assert line["milliseconds"] >= 0


def test_json_keeps_a_traceback(capsys, monkeypatch):
    monkeypatch.setenv(log.VARIABLE, "json")
    configure()
    try:
        raise KeyError("absent")
    except KeyError:
        logging.getLogger("ui").exception("failed")
    assert "KeyError: 'absent'" in json.loads(capsys.readouterr().err)["traceback"]


def test_a_file_gets_the_same_lines(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv(log.VARIABLE, raising=False)
    configure()
    for epoch in (1, 2):
        with kept_in(tmp_path / "run.log"):  # as a run that is resumed
            logging.getLogger("trainer").info("epoch %d", epoch)
    logging.getLogger("trainer").info("later")
    shown = capsys.readouterr().err.splitlines()
    assert (tmp_path / "run.log").read_text().splitlines() == shown[:2]
    assert len(shown) == 3


def test_another_format_is_one_sentence(monkeypatch):
    monkeypatch.setenv(log.VARIABLE, "xml")
    with pytest.raises(
        UsageError, match=r"LOG_FORMAT=xml is not a format of the log\. Set it to text or json"
    ):
        configure()


def _raise(error, cause=None):
    raise error from cause


@pytest.mark.parametrize(
    ("error", "cause", "outcome"),
    [
        (ImageError("too_small", "secret.png is too small."), None, "too_small"),
        (RuntimeError("secret.png"), ImageError("empty_file", "secret.png is empty."), "empty_file"),
        (RuntimeError("secret.png"), None, "fault"),
    ],
)
def test_a_failed_request_is_one_line_with_its_code_and_nothing_of_the_file(caplog, error, cause, outcome):
    caplog.set_level(logging.INFO, "app.requests")
    with pytest.raises(type(error)), logged("explain"):
        _raise(error, cause)
    (record,) = caplog.records
    assert re.fullmatch(rf"explain {outcome} \d+\.\d ms", record.getMessage())
    assert record.exc_info is None


def test_it_decorates_and_the_block_may_name_the_outcome(caplog):
    caplog.set_level(logging.INFO, "app.requests")

    @logged("model_info")
    def answer(size: int) -> int:
        return size

    assert answer(3) == 3
    with logged("predict") as outcome:
        outcome.code = "refused"
    assert [record.getMessage().split()[:2] for record in caplog.records] == [
        ["model_info", "ok"],
        ["predict", "refused"],
    ]


def test_the_first_part_of_a_request_logs_its_failure_alone(caplog):
    caplog.set_level(logging.INFO, "app.requests")
    with logged("predict", failures_alone=True):
        pass
    with pytest.raises(ImageError), logged("predict", failures_alone=True):
        _raise(ImageError("too_small", "secret.png is too small."))
    assert [record.getMessage().split()[:2] for record in caplog.records] == [["predict", "too_small"]]
