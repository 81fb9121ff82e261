"""Two processes on this machine train as one does; and what the environment says of them."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cxr.errors import UsageError
from tests.train_together import tiny_run
from trainer.fit import fit
from trainer.processes import ALONE, VARIABLE, are_named, join_processes, launch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")


def test_two_processes_give_the_history_of_one(tmp_path: Path) -> None:
    """With batch normalisation, dropout and a batch that cannot be halved; the rest is rounding."""
    one = [list(row.values()) for row in fit(tiny_run(tmp_path / "one", ALONE)).history]
    (tmp_path / "two").mkdir()
    command = [
        sys.executable,
        "-W",
        "ignore",
        str(ROOT / "tests" / "train_together.py"),
        str(tmp_path / "two"),
    ]
    assert launch(2, command) == 0
    two = [list(row.values()) for row in json.loads((tmp_path / "two" / "history.json").read_text())]
    assert len(one) == 2 and one[0] != one[1]
    assert np.allclose(one, two, rtol=1e-5, atol=1e-5), (one, two)


def test_alone_nothing_is_shared_or_summed() -> None:
    assert join_processes() is ALONE and not are_named()
    batch = np.arange(5)
    assert ALONE.share(batch) is batch and ALONE.total(batch).tolist() == batch.tolist()
    assert ALONE.of_chief(3) == 3 and ALONE.run(lambda value: ALONE.mean([value])[0], 7) == 7


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_configuration_that_names_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(UsageError, match="TF_CONFIG does not name the processes"):
        join_processes()


def test_one_that_fails_ends_the_others() -> None:
    """Rank 1 fails, while rank 0 would wait for it."""
    program = "import os,json,sys,time; rank=json.loads(os.environ['TF_CONFIG'])['task']['index']; "
    program += "sys.exit(3) if rank else time.sleep(60)"
    start = time.monotonic()
    assert launch(2, [sys.executable, "-c", program]) == 3
    assert time.monotonic() - start < 30


def test_each_process_has_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    program = f"import os; open({str(tmp_path)!r} + '/' + os.environ['CUDA_VISIBLE_DEVICES'], 'w')"
    assert launch(2, [sys.executable, "-c", program]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4", "7"]
