"""A training run from end to end: data -> checks -> split -> fit -> decision -> bundle."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cxr.data.films import BARE_SPLIT, check_films, require_both_classes
from cxr.data.loading import LoadedFilms, load_films
from cxr.data.sources import FilmSource, open_data
from cxr.errors import DataError, UsageError, first_problem
from cxr.files import new_folder, require_free, sha256_of
from cxr.log import kept_in
from cxr.model.applications import APPLICATIONS
from cxr.model.bundle import NetworkSpec
from cxr.types import ModelPixels
from trainer import split
from trainer.config import TrainConfig
from trainer.prepared import Prepared
from trainer.processes import Processes, join_processes
from trainer.recipes import (
    APPLICATION,
    DEFAULT,
    DISTILLED,
    FINETUNE,
    IMAGENET,
    LITE,
    LITE_FINETUNE,
    RANDOM,
    Recipe,
    find_recipe,
)
from trainer.references import films_to_plant, open_references
from trainer.resume import begin, check_resumable, settings_of, state_folder
from trainer.teacher import Teacher, open_teacher
from trainer.training_run import TrainingRun

_log = logging.getLogger(__name__)
_PRECISIONS = ("float32", "mixed_bfloat16")


def train(config: TrainConfig) -> Path:
    """Train as `config` says and write the bundle's folder, with the run's log beside it as `<out>.run.log`.

    Returns:
        The bundle's folder.

    Raises:
        UsageError: settings that cannot work; nothing is written.
        DataError: data that cannot be used; nothing is written.
        TrainingError: the run cannot go on; the last epoch's state stays in `<out>.training`, for --resume.
    """
    recipe = resolve_recipe(config)
    _check_folds(config)
    processes = join_processes()
    if processes.count > 1 and recipe.planting is not None:
        raise UsageError(
            f"The recipe {recipe.name} plants opacities and trains in one process. Leave --processes out."
        )
    if not processes.chief:
        logging.disable(logging.INFO)
    require_free(config.out)
    teacher = open_teacher(recipe.teacher) if recipe.teacher else None
    check_resumable(config, settings_of(config, recipe, teacher))
    prepared = prepare(open_data(config.data, config.patient_pattern, config.columns), config, recipe)
    if teacher is not None:
        _check_teacher(teacher, recipe, prepared)
    if not processes.chief:
        _fit_and_write(config, recipe, teacher, prepared, processes)
        return config.out
    with kept_in(config.out.with_name(f"{config.out.name}.run.log")):
        _log.info("settings: %s", config)
        for line in prepared.lines():
            _log.info("%s", line)
        _fit_and_write(config, recipe, teacher, prepared, processes)
        _log.info("bundle: %s", config.out)
    return config.out


def _fit_and_write(
    config: TrainConfig, recipe: Recipe, teacher: Teacher | None, prepared: Prepared, processes: Processes
) -> None:
    # Here, so that bad data is reported before TensorFlow loads.
    from trainer.bundling import write_bundle
    from trainer.members import fit_members
    from trainer.perturb import tuning_films

    to_plant = _films_to_plant(recipe, prepared)
    folder, settings = state_folder(config.out), settings_of(config, recipe, teacher)
    run = TrainingRun(
        recipe,
        prepared.train,
        tuning_films(recipe, prepared.validation, config.seed),
        config.seed,
        _precision(config, settings, prepared, processes),
        folder,
        teacher,
        config.tensorboard,
        to_plant,
        processes,
    )
    try:
        fitted = fit_members(run)
    except KeyboardInterrupt:
        _log.warning(
            "stopped; the finished epochs are kept in %s: repeat the command with --resume to go on", folder
        )
        raise
    if processes.chief:
        with new_folder(config.out) as bundle:
            write_bundle(
                bundle, config, run, prepared if config.test else replace(prepared, test=None), fitted
            )
        shutil.rmtree(folder)
    processes.wait()  # the chief must not find the others gone


def _precision(
    config: TrainConfig, settings: Mapping[str, Any], prepared: Prepared, processes: Processes
) -> str:
    """The precision that the chief chooses, or has begun with; the same in every process."""
    from trainer.fit import choose_precision

    chosen = (
        begin(config, settings, prepared.fingerprint, choose_precision) if processes.chief else _PRECISIONS[0]
    )
    return _PRECISIONS[processes.of_chief(_PRECISIONS.index(chosen))]


def _films_to_plant(recipe: Recipe, prepared: Prepared) -> ModelPixels | None:
    if recipe.planting is None or not recipe.planting.with_references:
        return None
    films = films_to_plant(prepared.references)
    if films is None:
        raise UsageError(
            "The recipe plants opacities in normal films of another hospital, but no --reference holds normal films "
            "alone. Name one that does, or leave --reference out."
        )
    return films


def resolve_recipe(config: TrainConfig) -> Recipe:
    """The recipe with the command's overrides. Raises UsageError where they are out of range."""
    changes = {name: getattr(config, name) for name in ("epochs", "batch_size", "learning_rate")}
    changes |= {"initial_weights": config.weights, "teacher": config.teacher}
    chosen = {name: value for name, value in changes.items() if value is not None}
    base = find_recipe(config.recipe)
    if config.network in LITE:
        base = LITE_FINETUNE if base == DEFAULT else base
        params = base.network.params if base.network.name in LITE else {"head": "joint"}
        chosen["network"] = NetworkSpec(name=config.network, params=params)
    elif config.network is not None:
        base = FINETUNE if base == DEFAULT else base
        if config.network not in APPLICATIONS:
            known = ", ".join([*LITE, *sorted(APPLICATIONS)])
            raise UsageError(f"--network {config.network} is not known. Choose one of: {known}.")
        chosen["network"] = NetworkSpec(name=APPLICATION, params={"application": config.network})
    elif config.teacher is not None:
        base = DISTILLED if base == DEFAULT else base
    if base.planting is not None and base.planting.with_references and not config.reference:
        chosen["planting"] = base.planting.model_copy(update={"reference": 0, "reference_planted": 0})
    try:
        recipe = Recipe.model_validate(base.model_dump() | chosen)
    except ValidationError as error:
        raise UsageError(
            f"A setting of the recipe cannot be used: {first_problem(error)}. See --help."
        ) from error
    if recipe.initial_weights not in (RANDOM, IMAGENET) and not Path(recipe.initial_weights).is_file():
        raise UsageError(
            f"--weights {recipe.initial_weights} is not a file. Give {IMAGENET}, {RANDOM} or the path of a .h5 file."
        )
    if recipe.name == DISTILLED.name and not recipe.teacher:
        raise UsageError(
            f"The recipe {recipe.name} learns from a teacher. Name one, such as an ensemble's bundle, with --teacher."
        )
    return recipe


def _check_teacher(teacher: Teacher, recipe: Recipe, prepared: Prepared) -> None:
    teacher.require_same_input(recipe.preprocess)
    teacher.require_unseen(prepared.validation.films, "validation")
    if prepared.test is not None:
        teacher.require_unseen(prepared.test.films, "test")


def _check_folds(config: TrainConfig) -> None:
    if config.folds < 2:
        raise UsageError(
            f"--folds {config.folds} leaves no films to validate on. Give 2 or more; 8 is usual."
        )
    if not 0 <= config.fold < config.folds:
        raise UsageError(
            f"--fold {config.fold} does not exist with --folds {config.folds}. Choose 0 to {config.folds - 1}."
        )


def prepare(source: FilmSource, config: TrainConfig, recipe: Recipe) -> Prepared:
    """Load, check and split the films.

    Raises:
        UsageError: the recipe needs a split that the data has not.
        DataError: films that cannot be read or used.
    """
    splits = {film.split for film in source.films}
    learnt = {"train", BARE_SPLIT} & splits or {"train"}  # of several sources, some may have no splits
    training_split = " and ".join(sorted(learnt, reverse=True))
    require_both_classes(
        [film for film in source.films if film.split in learnt], f"the split {training_split}"
    )
    loaded, skipped = load_films(
        source, source.films, recipe.preprocess, config.skip_unreadable, cache=config.cache
    )
    checks = check_films(loaded.films)
    notes = [*source.identity.notes, *(f"skipped, unreadable: {line}" for line in skipped)]
    in_split = {name: loaded.take([film.split == name for film in loaded.films]) for name in splits}
    test = in_split.get("test")
    if config.test and test is not None and not test.films:
        raise DataError(
            "No film of the split test can be read, so the finished bundle could not be measured. The first that "
            f"cannot be read is {skipped[0]} Repair the files, or leave the test out by --no-test."
        )
    learnable, left_out = _without_test_copies(
        loaded.take([film.split in learnt for film in loaded.films]), test
    )
    if left_out:
        notes.append(f"{left_out} train films left out because test holds the same bytes")
    require_both_classes(learnable.films, f"{training_split} {_less(left_out, len(skipped))}".rstrip())
    if recipe.validation == "official":
        if "val" not in in_split:
            raise UsageError(
                f"The recipe {recipe.name} validates on a val split, but the data has only "
                f"{', '.join(sorted(splits))}. Use --recipe default."
            )
        fit_on, validation, rule = learnable, in_split["val"], "the data set's own val split"
    else:
        held_out = split.validation_mask(learnable.films, config.folds, config.fold, config.seed)
        fit_on, validation = learnable.take(~held_out), learnable.take(held_out)
        rule = split.RULE.format(folds=config.folds, fold=config.fold, seed=config.seed)
    require_both_classes(validation.films, "the validation part")
    fingerprint = sha256_of("".join(sorted(film.split + film.sha256 for film in loaded.films)).encode())
    references = open_references(config.reference, recipe.preprocess)
    return Prepared(source, fit_on, validation, test, checks, rule, fingerprint, tuple(notes), references)


def _less(copies: int, unreadable: int) -> str:
    """What has been left out of the films to learn from, for a message."""
    parts = [f"{copies:,} films that test holds too"] if copies else []
    parts += [f"{unreadable:,} unreadable films"] if unreadable else []
    return f"(without {' and '.join(parts)})" if parts else ""


def _without_test_copies(learnable: LoadedFilms, test: LoadedFilms | None) -> tuple[LoadedFilms, int]:
    tested = {film.sha256 for film in test.films} if test else set()
    keep = [film.sha256 not in tested for film in learnable.films]
    return learnable.take(keep), keep.count(False)
