"""Train a tiny network in one of the processes that TF_CONFIG names, or alone: python tests/train_together.py FOLDER.

The chief writes FOLDER/history.json. A folder that holds a state is gone on with.
"""

import json
import sys
from pathlib import Path

from tests.test_fit import TINY, run_of, striped_films
from trainer.fit import fit
from trainer.processes import join_processes
from trainer.recipes import Augmentation

if __name__ == "__main__":
    processes = join_processes()
    folder = Path(sys.argv[1])
    # 20 films of each class an epoch: steps of 12 films, which two processes share, and one of 4.
    recipe = TINY.model_copy(
        update={"epochs": 2, "batch_size": 12, "augmentation": Augmentation(shift=0.1, flip=0.5, mixup=0.2)}
    )
    films = striped_films(60, 0), striped_films(31, 1)
    fitted = fit(run_of(recipe, films, folder, processes=processes))
    if processes.chief:
        (folder / "history.json").write_text(json.dumps(fitted.history))
    processes.wait()
