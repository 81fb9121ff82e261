"""Does the model read lungs, or something that goes along with the label? And do its maps show what it uses?

Answered with numbers in metrics.json under "audit":

    baselines   what AUC do numbers reach that hold no anatomy, fitted on the train split?
    views       what becomes of the model's figures when a part of the film, or a property of it, is taken away?
    maps        is the map's peak on an opacity that was planted there, and does it go with the weights?
    boxes       does the map lie where radiologists drew boxes? Where the data set has any (`evaluation.boxes`).
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image, ImageFilter, UnidentifiedImageError
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from cxr.data.films import Film
from cxr.data.loading import LoadedFilms
from cxr.data.sources import FilmSource
from cxr.imaging.decode import from_array
from cxr.imaging.preprocess import to_input_batch, to_model_pixels
from cxr.model.backend import Backend
from cxr.model.bundle import NetworkSpec
from cxr.model.predictor import Predictor
from cxr.phantom import add_opacity, make_phantom
from cxr.types import FloatArray, ModelPixels
from evaluation.boxes import box_figures
from evaluation.evidence import energy_inside, evidence_maps, near, points_at

LUNG_BOX = (0.10, 0.12, 0.90, 0.82)
"""Left, top, right and bottom of a region that holds both lungs of a film that fills its frame."""
BORDER = 0.1
POINTED_FILMS, RANDOMISED_FILMS = 100, 20

View = Callable[[ModelPixels], ModelPixels]


@dataclass(frozen=True, eq=False)
class _Pair:
    """A film without and with an opacity, uint8 (size, size), and where that lies, bool (size, size)."""

    healthy: ModelPixels
    ill: ModelPixels
    mask: np.ndarray


def audit(
    predictor: Predictor,
    films: LoadedFilms,
    train: LoadedFilms | None = None,
    source: FilmSource | None = None,
    network: NetworkSpec | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> dict[str, Any]:
    """The audit of a model on labelled films of both classes, through `predictor.preprocess`.

    train: the films to fit the baselines on; source: where both were read from, for their sizes; network: what
    the model is made of, to make it again with random weights; resamples: for the intervals of "boxes", which are
    there where films have boxes. Figures are None where the films leave them undefined or what they need,
    TensorFlow among it, is not there.
    """
    boxes = box_figures(predictor, films, resamples, seed)
    return {
        "baselines": _baselines(films, train, source),
        "views": _views(predictor, films),
        "maps": {
            "planted_in_normal_films": _pointing(predictor, _planted(predictor, films, seed)),
            "phantoms": _pointing(predictor, _phantoms(predictor, seed)),
            "likeness_to_mean_map": _likeness(predictor, films),
            "randomised_weights": _randomised(predictor, films, network, seed),
        },
        **({"boxes": boxes} if boxes else {}),
    }


def _baselines(films: LoadedFilms, train: LoadedFilms | None, source: FilmSource | None) -> dict[str, Any]:
    if train is None:
        return {"exposure_and_sharpness": None, "geometry": None}
    looks = [nuisances(part.pixels) for part in (train, films)]
    sizes = [_sizes(source, part.films) if source else None for part in (train, films)]
    return {
        "exposure_and_sharpness": _baseline_auc(looks, train, films),
        "geometry": None if sizes[0] is None or sizes[1] is None else _baseline_auc(sizes, train, films),
    }


def _baseline_auc(numbers: Sequence[Any], train: LoadedFilms, films: LoadedFilms) -> float | None:
    """AUC of boosted trees on a few numbers a film; None where they are the same for all or a class is missing."""
    fitted_on, scored = numbers
    if (
        not 0 < films.y_true.mean() < 1
        or not 0 < train.y_true.mean() < 1
        or not np.ptp(fitted_on, axis=0).any()
    ):
        return None
    model = HistGradientBoostingClassifier(random_state=0).fit(fitted_on, train.y_true)
    return float(roc_auc_score(films.y_true, model.predict_proba(scored)[:, 1]))


def nuisances(pixels: ModelPixels) -> FloatArray:
    """Sixteen numbers of exposure and sharpness a film, float64 (n, 16): nothing of them is anatomy."""
    films = pixels.astype(np.float64)
    side = films.shape[1]
    edge, half = max(1, side // 10), side // 2
    down, right = np.abs(np.diff(films, axis=1)), np.abs(np.diff(films, axis=2))
    flat = films.reshape(len(films), -1)
    numbers = [
        flat.mean(axis=1),
        flat.std(axis=1),
        *np.percentile(flat, (1, 10, 25, 50, 75, 90, 99), axis=1),
        down.mean(axis=(1, 2)),
        right.mean(axis=(1, 2)),
        down.max(axis=(1, 2)),
        films[:, :edge].mean(axis=(1, 2)),
        films[:, -edge:].mean(axis=(1, 2)),
        films[:, :half].mean(axis=(1, 2)) - films[:, half:].mean(axis=(1, 2)),
        films[:, :, :half].mean(axis=(1, 2)) - films[:, :, half:].mean(axis=(1, 2)),
    ]
    return np.stack(numbers, axis=1)


def _sizes(source: FilmSource, films: Sequence[Film]) -> FloatArray | None:
    """Width, height and aspect ratio of the original files, (n, 3); None where Pillow does not know a file."""
    found = []
    for film in films:
        try:
            with Image.open(io.BytesIO(source.read(film))) as image:
                width, height = image.size
        except UnidentifiedImageError:
            return None
        found.append((width, height, width / height))
    return np.array(found, np.float64)


def _views(predictor: Predictor, films: LoadedFilms) -> dict[str, Any]:
    """Figures of the films as they are and of changed copies, at the model's own threshold."""
    return {name: _figures(predictor, films, change(films.pixels)) for name, change in VIEWS.items()}


def _figures(predictor: Predictor, films: LoadedFilms, pixels: ModelPixels) -> dict[str, float | None]:
    y_prob = predictor.decision.probabilities(predictor.logits(pixels))
    called, y_true = y_prob >= predictor.decision.threshold, films.y_true.astype(bool)
    return {
        "roc_auc": float(roc_auc_score(y_true, y_prob)) if 0 < y_true.mean() < 1 else None,
        "sensitivity": float(called[y_true].mean()) if y_true.any() else None,
        "specificity": float(1 - called[~y_true].mean()) if not y_true.all() else None,
    }


def _box(side: int) -> tuple[slice, slice]:
    left, top, right, bottom = (round(part * side) for part in LUNG_BOX)
    return slice(top, bottom), slice(left, right)


def _border_blanked(pixels: ModelPixels) -> ModelPixels:
    width = round(BORDER * pixels.shape[1])
    blanked = np.zeros_like(pixels)
    blanked[:, width:-width, width:-width] = pixels[:, width:-width, width:-width]
    return blanked


def _gray(pixels: ModelPixels) -> ModelPixels:
    mean = np.rint(pixels.mean(axis=(1, 2), keepdims=True)).astype(np.uint8)
    return np.broadcast_to(mean, pixels.shape).copy()


def _outside_greyed(pixels: ModelPixels) -> ModelPixels:
    rows, columns = _box(pixels.shape[1])
    kept = _gray(pixels)
    kept[:, rows, columns] = pixels[:, rows, columns]
    return kept


def _lungs_greyed(pixels: ModelPixels) -> ModelPixels:
    rows, columns = _box(pixels.shape[1])
    kept = pixels.copy()
    kept[:, rows, columns] = _gray(pixels)[:, rows, columns]
    return kept


def _blurred(pixels: ModelPixels) -> ModelPixels:
    soft = [np.asarray(Image.fromarray(film).filter(ImageFilter.GaussianBlur(1))) for film in pixels]
    return np.stack(soft)


VIEWS: dict[str, View] = {
    "as_is": lambda pixels: pixels,
    "mirrored": lambda pixels: np.ascontiguousarray(pixels[:, :, ::-1]),
    "border_blanked": _border_blanked,
    "outside_lungs_greyed": _outside_greyed,
    "lungs_greyed": _lungs_greyed,
    "blurred": _blurred,
}


def _planted(predictor: Predictor, films: LoadedFilms, seed: int) -> list[_Pair]:
    """Normal films that the model calls NORMAL, each as it is and with an opacity planted in a lung."""
    normal = films.pixels[films.y_true == 0]
    y_prob = predictor.decision.probabilities(predictor.logits(normal))
    chosen = normal[y_prob < predictor.decision.threshold][:POINTED_FILMS]
    planted = [add_opacity(film, seed + number, "bacterial") for number, film in enumerate(chosen)]
    return [_Pair(film, ill, mask) for film, (ill, mask) in zip(chosen, planted, strict=True)]


def _phantoms(predictor: Predictor, seed: int) -> list[_Pair]:
    size = predictor.preprocess.size

    def pair(number: int) -> _Pair:
        healthy, ill = make_phantom(number, "normal"), make_phantom(number, "bacterial")
        mask = Image.fromarray(ill.opacity_mask).resize((size, size), Image.Resampling.NEAREST)
        before, after = (
            to_model_pixels(from_array(film.pixels), predictor.preprocess) for film in (healthy, ill)
        )
        return _Pair(before, after, np.asarray(mask))

    return [pair(seed + number) for number in range(POINTED_FILMS)]


def _pointing(predictor: Predictor, pairs: Sequence[_Pair]) -> dict[str, Any]:
    """The pointing game (Zhang et al. 2018): does the map's highest place lie on the opacity?

    A hit may be off by half a cell of the map. hit_rate_of_change: the same for what the opacity changed in the
    map, that is, the map with it less the map without it. hit_rate_of_mean_map: the same for the mean of the maps of
    the films without opacities, which knows no film; chance: for a place drawn at random. energy: share of the
    evidence for pneumonia that lies in the opacity, among films with any (Wang et al. 2020); energy_by_chance: of a
    map that is the same everywhere. called: share of the films that the model calls PNEUMONIA;
    hit_rate_where_called: hit rate among these.
    """
    if not pairs:
        return {"n": 0, **dict.fromkeys(_POINTING)}
    masks = [pair.mask for pair in pairs]
    before, _ = evidence_maps(predictor, np.stack([pair.healthy for pair in pairs]))
    after, logits = evidence_maps(predictor, np.stack([pair.ill for pair in pairs]))
    hits, of_change, of_mean = (
        np.array([points_at(one, mask) for one, mask in zip(maps, masks, strict=True)])
        for maps in (after, after - before, np.broadcast_to(before.mean(axis=0), after.shape))
    )
    energies = np.array([energy_inside(one, mask) for one, mask in zip(after, masks, strict=True)])
    called = predictor.decision.probabilities(logits) >= predictor.decision.threshold
    figures = (
        _mean(hits),
        _mean(of_change),
        _mean(of_mean),
        _mean([near(mask, after[0]).mean() for mask in masks]),
        _mean(energies[~np.isnan(energies)]),
        _mean([mask.mean() for mask in masks]),
        _mean(called),
        _mean(hits[called]),
    )
    return {"n": len(pairs), **dict(zip(_POINTING, figures, strict=True))}


_POINTING = (
    "hit_rate",
    "hit_rate_of_change",
    "hit_rate_of_mean_map",
    "chance",
    "energy",
    "energy_by_chance",
    "called",
    "hit_rate_where_called",
)


def _likeness(predictor: Predictor, films: LoadedFilms) -> dict[str, Any]:
    """How alike the maps of different films are: median correlation of a film's map with the mean of all maps.

    At 1 a map says nothing of its film.
    """
    maps, _ = evidence_maps(predictor, films.pixels)
    flat, mean = maps.reshape(len(maps), -1), maps.mean(axis=0).ravel()
    alike = [float(np.corrcoef(one, mean)[0, 1]) for one in flat if one.std() and mean.std()]
    return {"n": len(alike), "correlation": float(np.median(alike)) if alike else None}


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _randomised(
    predictor: Predictor, films: LoadedFilms, network: NetworkSpec | None, seed: int
) -> dict[str, Any] | None:
    """How alike the maps of the model and of the same network with random weights are (Adebayo et al. 2018).

    correlation: mean absolute correlation over films; near 0, the map goes with the weights.
    """
    if network is None or find_spec("tensorflow") is None:
        return None
    backend = _random_backend(network, predictor.preprocess.size, seed)
    batch = to_input_batch(films.pixels[:RANDOMISED_FILMS])
    maps = [one.evidence(batch)[1].reshape(len(batch), -1) for one in (predictor.backend, backend)]
    alike = [abs(float(np.corrcoef(a, b)[0, 1])) for a, b in zip(*maps, strict=True) if a.std() and b.std()]
    return {"n": len(alike), "correlation": float(np.mean(alike)) if alike else None}


def _random_backend(network: NetworkSpec, size: int, seed: int) -> Backend:
    import keras

    from cxr.model.keras_backend import KerasBackend
    from cxr.model.networks import build_network

    keras.utils.set_random_seed(seed)
    return KerasBackend(build_network(network.name, network.params, size))
