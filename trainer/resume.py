"""An interrupted run: what is saved of it, and whether a command may go on with it."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxr.errors import UsageError
from cxr.files import write_json
from trainer.config import TrainConfig
from trainer.recipes import Recipe
from trainer.teacher import Teacher

_FILE = "settings.json"
_FREE = {"out", "resume", "tensorboard", "recipe", "precision", "debug", "cache", "processes"}
"""Of the configuration, what a continued run may change, or what is compared in another way."""
_log = logging.getLogger(__name__)


def state_folder(out: Path) -> Path:
    """Where the state of the run that writes `out` is kept until it is finished."""
    return out.with_name(out.name + ".training")


def settings_of(config: TrainConfig, recipe: Recipe, teacher: Teacher | None) -> dict[str, Any]:
    """What must be the same for a run to be continued; of a teacher its weights, too."""
    chosen = {name: value for name, value in asdict(config).items() if name not in _FREE}
    # As JSON gives them back.
    chosen["data"] = [config.data] if isinstance(config.data, str) else list(config.data)
    chosen["reference"] = list(config.reference)
    if teacher is not None:
        chosen["teacher"] = teacher.identity.sha256
    return {"config": chosen, "recipe": recipe.model_dump(mode="json")}


def check_resumable(config: TrainConfig, settings: Mapping[str, Any]) -> None:
    """Compare the command with what is left of an interrupted run, before any film is read.

    Raises:
        UsageError: --resume without an interrupted run or with other settings, or such a run without --resume.
    """
    folder = state_folder(config.out)
    if not (folder / _FILE).is_file():
        if config.resume:
            raise UsageError(f"There is no interrupted run in {folder}. Leave out --resume to start one.")
        return
    if not config.resume:
        raise UsageError(
            f"{folder} holds an interrupted run. Go on with it with --resume, or start anew with another --out."
        )
    changed = list(_changes(_read(folder), settings, config.precision))
    if changed:
        raise UsageError(
            f"--resume goes on with the settings of the interrupted run, but these differ: {'; '.join(changed)}. "
            "Repeat the first command, or start anew without --resume and with another --out."
        )


def begin(
    config: TrainConfig, settings: Mapping[str, Any], fingerprint: str, choose_precision: Callable[[], str]
) -> str:
    """Save what the run is fixed to, or compare with what is saved.

    Args:
        config: of the command.
        settings: `settings_of` the command.
        fingerprint: of the films.
        choose_precision: called for a new run with --precision auto.

    Returns:
        The precision of the training steps.

    Raises:
        UsageError: the interrupted run had other films.
    """
    folder = state_folder(config.out)
    if (folder / _FILE).is_file():
        saved = _read(folder)
        if saved["fingerprint"] != fingerprint:
            raise UsageError(
                "The data changed since the run was interrupted. Restore it, or start anew without --resume and with "
                "another --out."
            )
        _log.info("precision: %s, as the interrupted run", saved["precision"])
        return str(saved["precision"])
    precision = choose_precision() if config.precision == "auto" else config.precision
    write_json(folder / _FILE, {**settings, "fingerprint": fingerprint, "precision": precision})
    return precision


def _changes(saved: Mapping[str, Any], settings: Mapping[str, Any], precision: str) -> Iterator[str]:
    """Each setting that differs, with both values."""
    if precision not in ("auto", saved["precision"]):
        yield f"precision was {saved['precision']} and is now {precision}"
    named: set[str] = set()
    for part in ("config", "recipe"):
        for name, value in settings[part].items():
            before = saved[part].get(name)
            if before != value and name not in named:
                named.add(name)  # an option of the command changes the recipe, too
                yield f"{name} was {_shown(before)} and is now {_shown(value)}"


def _shown(value: Any) -> str:
    return "not given" if value is None else str(value)


def _read(folder: Path) -> dict[str, Any]:
    saved: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    return saved
