"""python -m trainer: train a bundle, adapt it to a place, export, publish it on the Hub, deploy the app."""

import os
import sys

# Before anything imports TensorFlow, which reads it once: its start-up notes would bury the progress.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tyro

from cxr.cli import run_command
from trainer.adapt_config import AdaptConfig
from trainer.config import TrainConfig
from trainer.export import ExportConfig, export
from trainer.hub_config import DeployConfig, PublishConfig
from trainer.processes import are_named, launch, own_command
from trainer.run import train

Config = TrainConfig | AdaptConfig | ExportConfig | PublishConfig | DeployConfig


def main() -> int:
    """Parse the command line, run the command, and return the exit code."""
    config = tyro.extras.subcommand_cli_from_dict(
        {
            "train": TrainConfig,
            "adapt": AdaptConfig,
            "export": ExportConfig,
            "publish": PublishConfig,
            "deploy": DeployConfig,
        },
        prog="python -m trainer",
        description="Train a chest X-ray pneumonia classifier. For research and teaching; not a medical device.",
        # --no-test is wanted, so flags come in pairs here.
    )
    return run_command(lambda: _run(config), config.debug)


def _run(config: Config) -> object:
    # The Hub's client loads when it is needed.
    if isinstance(config, PublishConfig):
        from trainer.publish import publish

        return publish(config)
    if isinstance(config, DeployConfig):
        from trainer.deploy import deploy

        return deploy(config)
    if isinstance(config, AdaptConfig):
        from trainer.adapt import adapt

        return adapt(config)
    if isinstance(config, ExportConfig):
        export(config)
        return None
    if config.processes > 1 and not are_named():
        sys.exit(launch(config.processes, own_command()))
    return train(config)


if __name__ == "__main__":
    sys.exit(main())
