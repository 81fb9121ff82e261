"""The driver: films that have no answer yet go out in parts to Ray's workers, and parts are written as they come.

Ray Data carries the parts: a dataset of names goes through a pool of actors, of which a lost one is started again and
its part given to another. What comes back is the lines of the CSV; no image passes through the driver.
"""

import json
import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

# Read when Ray is imported. Nothing is reported to anybody.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its notes go to the terminal, past Python
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its future behaviour, without its warning

import ray
import ray.data
from ray.exceptions import RayError, RayTaskError
from ray.util.annotations import RayDeprecationWarning
from tqdm import tqdm

from cxr.data.names import PassedOver, note_of_passed_over
from cxr.errors import CxrError, DataError, UsageError
from cxr.model.predictor import ModelIdentity
from cxr.serving.opening import open_model
from cxr.threads import cpu_count
from evaluation.answers_file import row_name
from evaluation.cluster.addresses import find_films, is_address
from evaluation.cluster.parts import PartsFolder, part_name
from evaluation.cluster.worker import Worker, packed
from evaluation.config import ScoreConfig
from evaluation.score import tell_counts

LARGEST_PART = 1000
"""Films in a part: what a lost worker has to do again, and the step of the progress bar."""
_PARTS_A_WORKER = 4
"""At least, so that the workers end at about the same time."""
_PARTS_AT_ONCE = 2000
"""Parts in one dataset; the names of its films are in memory."""
_LIVES = 3
"""How often a worker is started again, and a part tried again: a film that ends its worker must not do so forever."""
_OBJECT_STORE = 2**28
_STARTS = 5
_ADDRESS = "RAY_ADDRESS"


def score_on_cluster(config: ScoreConfig) -> Counter[str]:
    """Answer for every film of `config.files` that the folder `config.out` has no row of yet.

    Returns:
        How many films had which outcome.

    Raises:
        UsageError: There are no films, or `config.out` is no folder for these answers.
        DataError: The films cannot be listed or fetched, a worker is lost again and again, or the folder is damaged.
        BundleError: The model cannot be loaded, here or on a worker.
    """
    passed_over = PassedOver()
    total = sum(1 for _ in find_films(config.files, passed_over))
    for line in note_of_passed_over(passed_over):
        print(line)
    if not total:
        raise UsageError(f"--files {config.files!r} holds no radiograph. Name a folder, a glob or one file.")
    predictor = open_model(config.model).predictor
    counts: Counter[str] = Counter()
    with PartsFolder(config.out, predictor) as folder:
        films = find_films(config.files, PassedOver())
        wanted = (name for name in films if folder.claim(_row_name(name)))
        first = next(wanted, None)
        if first is not None:
            with _ray(config.workers) as workers, tqdm(total=total, unit=" films", disable=None) as bar:
                bar.update(min(folder.earlier, total))
                rest = _chained(first, wanted)
                for part, lines, found in _answers(rest, config.model, predictor.identity, total, workers):
                    folder.write(part, lines)
                    counts.update(found)
                    bar.update(sum(found.values()))
        earlier = folder.earlier
    tell_counts(counts, f"of {total:,} files", earlier, config.out)
    return counts


def _chained(first: str, rest: Iterable[str]) -> Iterator[str]:
    yield first
    yield from rest


def _row_name(name: str) -> str:
    """What the row of a film names it by, as the default engine does."""
    return name if is_address(name) else row_name(Path(name))


@contextmanager
def _ray(workers: int) -> Iterator[int]:
    """Ray, on the cluster of RAY_ADDRESS or embedded; gives the number of workers. Raises UsageError, DataError."""
    if workers < 0:
        raise UsageError(f"--workers {workers} is not a number of workers. Give 1 or more, or leave it out.")
    started = not ray.is_initialized()
    if started:
        start(workers)
    try:
        yield workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    finally:
        if started:
            ray.shutdown()


def start(workers: int) -> None:
    """Start Ray with processors for so many workers, or join the cluster that RAY_ADDRESS names. Raises DataError."""
    address = os.environ.get(_ADDRESS)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not address:
        print("starting Ray ...", file=sys.stderr)
        _start_here(num_cpus=max(workers, cpu_count()), **quiet)
        return
    print(f"joining the Ray cluster at {address} ...", file=sys.stderr)
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise DataError(
            f"The Ray cluster cannot be reached ({_first_line(error)}). Check {_ADDRESS}, or unset it."
        ) from error


def _start_here(**settings: object) -> None:
    """Start Ray on this machine; on a busy one its processes may need several tries. Raises DataError."""
    for attempt in range(1, _STARTS + 1):
        try:
            ray.init(address="local", object_store_memory=_OBJECT_STORE, include_dashboard=False, **settings)
        except Exception as error:
            if type(error) is not Exception:  # which is what Ray raises where a process of its is late
                raise
            ray.shutdown()
            if attempt == _STARTS:
                raise DataError(
                    f"Ray does not start on this machine ({_first_line(error)}). Run the command again when it is less "
                    "busy, or leave --engine out."
                ) from error
        else:
            return


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _answers(
    films: Iterator[str], model: str, identity: ModelIdentity, total: int, workers: int
) -> Iterator[tuple[str, bytes, Counter[str]]]:
    """Name, lines of the CSV and outcomes of each part, in the order in which they are done."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    size = max(1, min(LARGEST_PART, total // (_PARTS_A_WORKER * workers)))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    while parts := list(islice(_parts(films, size), _PARTS_AT_ONCE)):
        answered = _map(parts, (_exact(model, identity), identity.sha256), min(workers, len(parts)))
        try:
            for row in answered.iter_rows():
                yield row["part"], row["lines"], Counter(json.loads(row["counts"]))
        except RayError as error:
            raise _in_words(error) from error


def _map(parts: list[dict[str, object]], model: tuple[str, str], workers: int) -> "ray.data.Dataset":
    """The parts, answered by a pool of workers as they are asked for."""
    with warnings.catch_warnings():
        # Ray 2.60 calls every way to bound restarts deprecated; pyproject.toml ends before it takes them away.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        return ray.data.from_items(parts, override_num_blocks=len(parts)).map_batches(
            Worker,
            fn_constructor_args=model,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
            ray_remote_args_fn=_lives,
        )


def _lives() -> dict[str, int]:
    return {"max_restarts": _LIVES, "max_task_retries": _LIVES}


def _parts(films: Iterator[str], size: int) -> Iterator[dict[str, object]]:
    while names := list(islice(films, size)):
        yield {"part": part_name(names), "films": packed(names)}


def _exact(model: str, identity: ModelIdentity) -> str:
    """MODEL as the workers open it: the very commit, and a path that does not depend on where they run."""
    if model.startswith("hub:"):
        return f"{model.partition('@')[0]}@{identity.revision}" if identity.revision else model
    return str(Path(model).resolve())


def _in_words(error: RayError) -> CxrError:
    """What a worker raised, where it is ours; else one line on what Ray says."""
    cause = error.cause if isinstance(error, RayTaskError) else None
    while cause is not None and not isinstance(cause, CxrError):
        cause = getattr(cause, "cause", None) or cause.__cause__
    if isinstance(cause, CxrError):
        return cause
    reason = str(error).strip().splitlines()[-1]
    return DataError(
        f"Ray's workers were lost or failed more than {_LIVES} times ({reason}). The parts that are written stay; "
        "run the command again to go on, with fewer --workers if memory is short."
    )
