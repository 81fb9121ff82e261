"""python -m trainer: train a bundle, export it for serving."""

import os
import sys

# Before anything imports TensorFlow, which reads it once: its start-up notes would bury the progress.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tyro

from cxr.cli import run_command
from trainer.config import TrainConfig
from trainer.export import ExportConfig, export
from trainer.run import train


def main() -> int:
    """Parse the command line, run the command, and return the exit code."""
    config = tyro.extras.subcommand_cli_from_dict(
        {"train": TrainConfig, "export": ExportConfig},
        prog="python -m trainer",
        description="Train a chest X-ray pneumonia classifier. For research and teaching; not a medical device.",
        # --no-test is wanted, so flags come in pairs here.
    )
    command = export if isinstance(config, ExportConfig) else train
    return run_command(lambda: command(config), config.debug)


if __name__ == "__main__":
    sys.exit(main())
