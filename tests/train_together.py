"""Train a tiny network in one of the processes that TF_CONFIG names: python tests/train_together.py FOLDER.

The chief writes FOLDER/history.json.
"""

import json
import sys
from pathlib import Path

from tests.test_fit import TINY, run_of, striped_films
from trainer.fit import fit
from trainer.processes import Processes, join_processes
from trainer.recipes import Augmentation
from trainer.training_run import TrainingRun


def tiny_run(folder: Path, processes: Processes) -> TrainingRun:
    """61 films: three batches of 16 an epoch, which two processes halve, and one of 13, which they cannot."""
    network = TINY.network.model_copy(update={"params": {**TINY.network.params, "dropout": 0.3}})
    changes = {"epochs": 2, "sampling": "all", "augmentation": Augmentation(flip=0.5), "network": network}
    films = striped_films(61, 0), striped_films(31, 1)
    return run_of(TINY.model_copy(update=changes), films, folder, processes=processes)


if __name__ == "__main__":
    processes = join_processes()
    folder = Path(sys.argv[1])
    fitted = fit(tiny_run(folder, processes))
    if processes.chief:
        (folder / "history.json").write_text(json.dumps(fitted.history))
    processes.wait()
