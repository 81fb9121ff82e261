"""python -m trainer: train a bundle."""

import os
import sys

# Before anything imports TensorFlow, which reads it once: its start-up notes would bury the progress.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tyro

from cxr.cli import run_command
from trainer.config import TrainConfig
from trainer.run import train


def main() -> int:
    """Parse the command line, run the command, and return the exit code."""
    config = tyro.extras.subcommand_cli_from_dict(
        {"train": TrainConfig},
        prog="python -m trainer",
        description="Train a chest X-ray pneumonia classifier. For research and teaching; not a medical device.",
        # --no-test is wanted, so flags come in pairs here.
    )
    return run_command(lambda: train(config), config.debug)


if __name__ == "__main__":
    sys.exit(main())
