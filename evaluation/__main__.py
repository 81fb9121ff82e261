"""python -m evaluation: figures with intervals on labelled radiographs, and answers for unlabelled ones."""

import os
import sys

# Before anything imports TensorFlow, which reads it once: its notes would bury the figures.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tyro

from cxr.cli import run_command
from cxr.errors import UsageError
from evaluation.config import DISCLAIMER, RunConfig, ScoreConfig
from evaluation.pacs.address import is_pacs_address


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
        _score(config)
    else:
        from evaluation.run import run

        run(config)


def _score(config: ScoreConfig) -> None:
    if not is_pacs_address(config.files):
        if config.store:
            raise UsageError("--store needs films from a PACS: --files dicomweb:URL.")
        from evaluation.score import score

        score(config)
        return
    try:
        from evaluation.pacs.score import score_pacs
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in (
            "dicomweb_client",
            "highdicom",
            "requests",
            "retrying",
        ):
            raise
        raise UsageError(
            "Reading from a PACS needs dicomweb-client and highdicom: pip install 'cxr-pneumonia[hospital]', "
            "or pip install dicomweb-client highdicom."
        ) from error
    score_pacs(config)


if __name__ == "__main__":
    sys.exit(main())
