"""A training run from end to end: data -> checks -> split -> fit -> decision -> bundle."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cxr.data.films import BARE_SPLIT, check_films, require_both_classes
from cxr.data.loading import LoadedFilms, load_films
from cxr.data.sources import FilmSource, open_data
from cxr.errors import UsageError, first_problem
from cxr.files import new_folder, require_free, sha256_of, write_json
from cxr.model.applications import APPLICATIONS
from cxr.model.bundle import NetworkSpec
from trainer import split
from trainer.config import TrainConfig
from trainer.prepared import Prepared
from trainer.recipes import APPLICATION, DEFAULT, DISTILLED, FINETUNE, IMAGENET, RANDOM, Recipe, find_recipe
from trainer.teacher import Teacher, open_teacher


def train(config: TrainConfig) -> Path:
    """Run `config` and return the bundle's folder.

    Raises UsageError, DataError or TrainingError before anything is written, or with the last epoch's state kept
    beside the folder as `<out>.training`, for --resume.
    """
    recipe = resolve_recipe(config)
    _check_folds(config)
    require_free(config.out)
    work = config.out.with_name(config.out.name + ".training")
    teacher = open_teacher(recipe.teacher) if recipe.teacher else None
    settings = _settings(config, recipe, teacher)
    _check_resumable(work, config.resume, settings)
    source = open_data(config.data)
    prepared = prepare(source, config, recipe)
    if teacher is not None:
        _check_teacher(teacher, recipe, prepared)
    # Here, so that bad data is told before TensorFlow loads.
    from trainer.bundling import write_bundle
    from trainer.fit import choose_precision
    from trainer.members import fit_members
    from trainer.perturb import settling_films

    state = _start(work, settings, prepared.fingerprint, config, choose_precision)
    try:
        fitted = fit_members(
            recipe,
            prepared.train,
            settling_films(recipe, prepared.validation, config.seed),
            config.seed,
            state["precision"],
            work,
            config.tensorboard,
            teacher,
        )
    except KeyboardInterrupt:
        print(f"stopped; the finished epochs are kept in {work}: repeat the command with --resume to go on")
        raise
    with new_folder(config.out) as folder:
        write_bundle(folder, config, recipe, source, prepared, fitted, state["precision"], teacher)
    shutil.rmtree(work)
    print(f"bundle: {config.out}")
    return config.out


def resolve_recipe(config: TrainConfig) -> Recipe:
    """The recipe with the command's overrides. Raises UsageError where they are out of range."""
    changes = {name: getattr(config, name) for name in ("epochs", "batch_size", "learning_rate")}
    changes |= {"initial_weights": config.weights, "teacher": config.teacher}
    chosen = {name: value for name, value in changes.items() if value is not None}
    base = find_recipe(config.recipe)
    if config.network is not None:
        base = FINETUNE if base == DEFAULT else base
        if config.network not in APPLICATIONS:
            raise UsageError(f"--network among {sorted(APPLICATIONS)}", repr(config.network), "choose one")
        chosen["network"] = NetworkSpec(name=APPLICATION, params={"application": config.network})
    elif config.teacher is not None:
        base = DISTILLED if base == DEFAULT else base
    try:
        recipe = Recipe.model_validate(base.model_dump() | chosen)
    except ValidationError as error:
        raise UsageError("settings in their range", first_problem(error), "see --help") from error
    if recipe.initial_weights not in (RANDOM, IMAGENET) and not Path(recipe.initial_weights).is_file():
        raise UsageError(
            f"--weights {IMAGENET}, {RANDOM} or a .h5 file", repr(recipe.initial_weights), "check the path"
        )
    if recipe.name == DISTILLED.name and not recipe.teacher:
        raise UsageError(f"--teacher MODEL for the recipe {recipe.name}", "none", "name an ensemble's bundle")
    return recipe


def _check_teacher(teacher: Teacher, recipe: Recipe, prepared: Prepared) -> None:
    teacher.require_same_input(recipe.preprocess)
    teacher.require_unseen(prepared.validation.films, "validation")
    if prepared.test is not None:
        teacher.require_unseen(prepared.test.films, "test")


def _check_folds(config: TrainConfig) -> None:
    if config.folds < 2:
        raise UsageError("--folds of at least 2", str(config.folds), "8 is usual")
    if not 0 <= config.fold < config.folds:
        raise UsageError(
            f"--fold from 0 to {config.folds - 1}", str(config.fold), "name a part that there is"
        )


def prepare(source: FilmSource, config: TrainConfig, recipe: Recipe) -> Prepared:
    """Load, check and split the films; prints what the checks found."""
    splits = {film.split for film in source.films}
    training_split = BARE_SPLIT if BARE_SPLIT in splits else "train"
    require_both_classes([film for film in source.films if film.split == training_split], training_split)
    loaded, skipped = load_films(source, source.films, recipe.preprocess, config.skip_unreadable)
    checks = check_films(loaded.films)
    notes = [*source.identity.notes, *(f"skipped, unreadable: {line}" for line in skipped)]
    in_split = {name: loaded.take([film.split == name for film in loaded.films]) for name in splits}
    test = in_split.get("test")
    learnable, left_out = _without_test_copies(in_split[training_split], test)
    if left_out:
        notes.append(f"{left_out} train films left out because test holds the same bytes")
    print(f"data: {source.identity.id}", *checks.lines(), *notes, sep="\n")
    if recipe.validation == "official":
        if "val" not in in_split:
            raise UsageError(
                "a val split for this recipe", f"splits {sorted(splits)}", "use --recipe default"
            )
        fit_on, validation, rule = learnable, in_split["val"], "the data set's own val split"
    else:
        held_out = split.validation_mask(learnable.films, config.folds, config.fold, config.seed)
        fit_on, validation = learnable.take(~held_out), learnable.take(held_out)
        rule = split.RULE.format(folds=config.folds, fold=config.fold, seed=config.seed)
    require_both_classes(validation.films, "validation")
    print(f"train on {len(fit_on.films):,} films, validate on {len(validation.films):,}: {rule}")
    fingerprint = sha256_of("".join(sorted(film.split + film.sha256 for film in loaded.films)).encode())
    return Prepared(source.identity, fit_on, validation, test, checks, rule, fingerprint, tuple(notes))


def _without_test_copies(learnable: LoadedFilms, test: LoadedFilms | None) -> tuple[LoadedFilms, int]:
    tested = {film.sha256 for film in test.films} if test else set()
    keep = [film.sha256 not in tested for film in learnable.films]
    return learnable.take(keep), keep.count(False)


def _settings(config: TrainConfig, recipe: Recipe, teacher: Teacher | None) -> dict[str, Any]:
    """What must be the same for a run to be continued; of a teacher its weights, too."""
    free = {"out", "resume", "tensorboard", "recipe", "precision", "debug"}
    chosen = {name: value for name, value in asdict(config).items() if name not in free}
    if teacher is not None:
        chosen["teacher"] = teacher.identity.sha256
    return {"config": chosen, "recipe": recipe.model_dump(mode="json")}


def _check_resumable(work: Path, resume: bool, settings: dict[str, Any]) -> None:
    saved_path = work / "settings.json"
    if not saved_path.is_file():
        if resume:
            raise UsageError("an interrupted run to resume", f"none at {work}", "run it without --resume")
        return
    if not resume:
        raise UsageError(
            "an --out without an interrupted run",
            f"{work}",
            "pass --resume to go on with it, or remove that folder",
        )
    saved = json.loads(saved_path.read_text(encoding="utf-8"))
    different = [
        f"{part}.{name}"
        for part in ("config", "recipe")
        for name, value in settings[part].items()
        if saved[part].get(name) != value
    ]
    if different:
        raise UsageError(
            "the interrupted run's settings", f"others for {different}", "repeat the first command"
        )


def _start(
    work: Path,
    settings: dict[str, Any],
    fingerprint: str,
    config: TrainConfig,
    choose_precision: Callable[[], str],
) -> dict[str, Any]:
    """The run's fixed state: as saved by the run that is resumed, or settled and saved now."""
    path = work / "settings.json"
    if path.is_file():
        saved: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if saved["fingerprint"] != fingerprint:
            raise UsageError("the interrupted run's films", "others", "restore the data set, or start anew")
        return saved
    precision = choose_precision() if config.precision == "auto" else config.precision
    state = {**settings, "fingerprint": fingerprint, "precision": precision}
    write_json(path, state)
    return state
