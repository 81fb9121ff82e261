"""python -m evaluation: figures with intervals on labelled radiographs, and answers for unlabelled ones."""

import os
import sys

# Before anything imports TensorFlow, which reads it once: its notes would bury the figures.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tyro

from cxr.cli import run_command
from evaluation.report import DISCLAIMER
from evaluation.run import RunConfig, run
from evaluation.score import ScoreConfig, score


def main() -> int:
    """Parse the command line, run the command, and return the exit code."""
    config = tyro.extras.subcommand_cli_from_dict(
        {"run": RunConfig, "score": ScoreConfig},
        prog="python -m evaluation",
        description=f"Evaluate a chest X-ray pneumonia classifier. {DISCLAIMER}",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    if isinstance(config, ScoreConfig):
        return run_command(lambda: score(config), config.debug)
    return run_command(lambda: run(config), config.debug)


if __name__ == "__main__":
    sys.exit(main())
