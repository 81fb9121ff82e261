"""python -m evaluation: figures with intervals on labelled radiographs, and answers for unlabelled ones."""

import os
import sys

# Before anything imports TensorFlow, which reads it once: its notes would bury the figures.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tyro

from cxr.cli import run_command
from evaluation.config import DISCLAIMER, RunConfig, ScoreConfig


def main() -> int:
    """Parse the command line, run the command, and return the exit code."""
    config = tyro.extras.subcommand_cli_from_dict(
        {"run": RunConfig, "score": ScoreConfig},
        prog="python -m evaluation",
        description=f"Evaluate a chest X-ray pneumonia classifier. {DISCLAIMER}",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    return run_command(lambda: _run(config), config.debug)


def _run(config: RunConfig | ScoreConfig) -> None:
    # Each command imports its own: scoring needs neither scikit-learn nor matplotlib, which take seconds.
    if isinstance(config, ScoreConfig):
        from evaluation.score import score

        score(config)
    else:
        from evaluation.run import run

        run(config)


if __name__ == "__main__":
    sys.exit(main())
