"""python -m evaluation: figures with intervals on labelled radiographs, and answers for unlabelled ones."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
    pacs = is_pacs_address(config.files)
    if config.store and not pacs:
        raise UsageError("--store needs films from a PACS: --files dicomweb:URL.")
    if config.engine == "ray":
        if pacs:
            raise UsageError("--engine ray does not read from a PACS. Leave --engine out.")
        with _needing("--engine ray needs Ray and fsspec", "cluster", ("ray", "fsspec", "pyarrow")):
            from evaluation.cluster.score import score_on_cluster
        score_on_cluster(config)
    elif pacs:
        libraries = ("dicomweb-client", "highdicom")
        with _needing(
            "Reading from a PACS needs dicomweb-client and highdicom",
            "hospital",
            libraries,
            ("requests", "retrying"),
        ):
            from evaluation.pacs.score import score_pacs
        score_pacs(config)
    elif "://" in config.files:
        raise UsageError(f"--files {config.files} needs --engine ray.")
    else:
        from evaluation.score import score

        score(config)


@contextmanager
def _needing(
    what: str, extra: str, libraries: tuple[str, ...], theirs: tuple[str, ...] = ()
) -> Iterator[None]:
    """Say which extra to install where one of its libraries, or one of `theirs`, is missing. Raises UsageError."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in (*(name.replace("-", "_") for name in libraries), *theirs):
            raise
        raise UsageError(
            f"{what}: pip install 'cxr-pneumonia[{extra}]', or pip install {' '.join(libraries)}."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
