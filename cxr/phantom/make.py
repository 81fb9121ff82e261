"""One phantom, and whole data sets of phantoms in the Kaggle layout."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.phantom.anatomy import draw_anatomy, draw_lungs, optical_density
from cxr.phantom.base import (
    GRAIN,
    OPACITY,
    SPLIT,
    Label,
    Mask,
    Painter,
    Split,
    Subtype,
    random_stream,
    require_size,
)
from cxr.phantom.exposure import draw_film, expose
from cxr.phantom.opacity import draw_opacity

MIN_PHANTOMS = 12
JPEG_QUALITY = 92
JPEG_COMMENT = b"Synthetic phantom; shows no patient. For software tests only."


@dataclass(frozen=True, eq=False)
class Phantom:
    """One synthetic radiograph.

    pixels: uint8 (size, size), read-only; 0 is black, 255 is white.
    opacity_mask: bool (size, size), read-only; True where the opacity adds notable density.
    """

    pixels: NDArray[np.uint8]
    opacity_mask: Mask
    subtype: Subtype
    seed: int


@dataclass(frozen=True)
class PhantomRecord:
    """One film of a phantom data set, before it is drawn.

    patient: number of the patient, unique within the data set; all films of a patient are in one split.
    file_name: as in the Kaggle data set, e.g. "IM-0003-0001.jpeg" or "person7_virus_12.jpeg".
    seed: of the film (pose, exposure, grain).
    thorax_seed: of the patient (anatomy and opacity), shared by a patient's films.
    """

    split: Split
    label: Label
    subtype: Subtype
    patient: int
    file_name: str
    seed: int
    thorax_seed: int

    @property
    def path(self) -> Path:
        """Place of the film inside the data set's folder, e.g. train/NORMAL/IM-0003-0001.jpeg."""
        return Path(self.split, self.label, self.file_name)

    def draw(self, size: int = 224) -> "Phantom":
        """The phantom itself, `size` by `size` pixels."""
        return make_phantom(self.seed, self.subtype, size, self.thorax_seed)


def make_phantom(seed: int, subtype: Subtype, size: int = 224, thorax_seed: int | None = None) -> Phantom:
    """Draw one phantom of `size` by `size` pixels; the same arguments give the same bytes, in any process or
    thread, under the same versions of NumPy and Pillow.

    `thorax_seed` fixes the patient (anatomy and opacity), so that two seeds with one `thorax_seed` are two
    films of one patient; by default each seed is a patient of its own.

    Raises ValueError for a negative seed, an unknown subtype, or a size below 32.
    """
    thorax_seed = seed if thorax_seed is None else thorax_seed
    _require_arguments(seed, thorax_seed, subtype, size)
    anatomy, film = draw_anatomy(thorax_seed), draw_film(seed)
    painter = Painter(size, film)
    lungs = draw_lungs(anatomy, painter)
    if subtype == "normal":
        opacity, mask = np.zeros((size, size), np.float32), np.zeros((size, size), np.bool_)
    else:
        opacity, mask = draw_opacity(random_stream(thorax_seed, OPACITY), subtype, lungs)
    density = optical_density(anatomy, painter, lungs, opacity)
    pixels = expose(density, film, random_stream(seed, GRAIN))
    pixels.flags.writeable = mask.flags.writeable = False
    return Phantom(pixels, mask, subtype, seed)


def phantom_split(n: int, seed: int = 0) -> list[PhantomRecord]:
    """Plan a data set of `n` films: half normal, a quarter bacterial, a quarter viral.

    About 70% are in train, 10% in val and 20% in test, and each has both classes. About one patient in six
    has two films; a patient's films are in one split.

    Raises ValueError for n below 12, where a split would be left without one of the classes.
    """
    if n < MIN_PHANTOMS:
        raise ValueError(
            f"{n} phantoms are too few for both classes in each of train, val and test. "
            f"Ask for {MIN_PHANTOMS} or more."
        )
    rng = random_stream(seed, SPLIT)
    viral, bacterial = n // 4, (n + 1) // 4
    normal = n - viral - bacterial
    records: list[PhantomRecord] = []
    for patients in (
        _patients("normal", normal),
        _patients("bacterial", bacterial) + _patients("viral", viral),
    ):
        shuffled = [patients[i] for i in rng.permutation(len(patients))]
        for split, (subtype, films) in zip(_assign_splits(shuffled), shuffled, strict=True):
            records += _patient_records(rng, split, subtype, films, records)
    return records


def phantom_jpeg(record: PhantomRecord, size: int = 224) -> bytes:
    """The JPEG file of one planned phantom, as `write_phantoms` writes it."""
    return _encode(record.draw(size))


def write_phantoms(folder: Path, n: int, seed: int = 0, size: int = 224, masks: bool = False) -> None:
    """Write `n` phantoms in the Kaggle layout, folder/{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg.

    Grayscale JPEG of quality 92. With `masks`, also folder/masks/{split}/{label}/*.png, 255 where the opacity
    is.

    Raises ValueError for n below 12 or a size below 32, and FileExistsError if the folder already holds
    anything: leftovers of another data set would put one patient on two sides.
    """
    require_size(size)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not a new or empty folder. Name another, or empty it first.")
    records = phantom_split(n, seed)
    for parent in {record.path.parent for record in records}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
        if masks:
            (folder / "masks" / parent).mkdir(parents=True, exist_ok=True)
    # One after the other: threads gain nothing, since most of the work holds the interpreter's lock.
    for record in records:
        _write_film(folder, record, size, masks)


def _require_arguments(seed: int, thorax_seed: int, subtype: str, size: int) -> None:
    if min(seed, thorax_seed) < 0:
        raise ValueError(f"Seeds are 0 or more, but these are {seed} and {thorax_seed}.")
    if subtype not in ("normal", "bacterial", "viral"):
        raise ValueError(f"The subtype {subtype!r} is not normal, bacterial or viral.")
    require_size(size)


def _patients(subtype: Subtype, films: int) -> list[tuple[Subtype, int]]:
    """Patients with 1 or 2 films each, `films` together."""
    pairs = round(0.15 * films)
    return [(subtype, 2)] * pairs + [(subtype, 1)] * (films - 2 * pairs)


def _assign_splits(patients: Sequence[tuple[Subtype, int]]) -> Iterator[Split]:
    """A split for each patient: val and test are filled up to their share of films, train takes the rest."""
    total = sum(films for _, films in patients)
    room = {"val": max(1, round(0.1 * total)), "test": max(1, round(0.2 * total))}
    for _, films in patients:
        split: Split = "val" if room["val"] > 0 else "test" if room["test"] > 0 else "train"
        if split != "train":
            room[split] -= films
        yield split


def _patient_records(
    rng: np.random.Generator, split: Split, subtype: Subtype, films: int, before: Sequence[PhantomRecord]
) -> list[PhantomRecord]:
    """The films of the next patient after `before`."""
    patient = before[-1].patient + 1 if before else 1
    label: Label = "NORMAL" if subtype == "normal" else "PNEUMONIA"
    thorax_seed, *seeds = rng.integers(2**62, size=films + 1).tolist()
    return [
        PhantomRecord(split, label, subtype, patient, name, seed, thorax_seed)
        for name, seed in zip(_file_names(subtype, patient, films, len(before) + 1), seeds, strict=True)
    ]


def _file_names(subtype: Subtype, patient: int, films: int, first: int) -> list[str]:
    """Kaggle names: normals count a patient's films, pneumonias count the films of the data set."""
    if subtype == "normal":
        return [f"IM-{patient:04d}-{film + 1:04d}.jpeg" for film in range(films)]
    germ = "bacteria" if subtype == "bacterial" else "virus"
    return [f"person{patient}_{germ}_{first + film}.jpeg" for film in range(films)]


def _write_film(folder: Path, record: PhantomRecord, size: int, masks: bool) -> None:
    drawn = record.draw(size)
    (folder / record.path).write_bytes(_encode(drawn))
    if masks:
        mask = Image.fromarray(drawn.opacity_mask.astype(np.uint8) * 255)
        mask.save((folder / "masks" / record.path).with_suffix(".png"))


def _encode(drawn: Phantom) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(drawn.pixels).save(stream, format="JPEG", quality=JPEG_QUALITY, comment=JPEG_COMMENT)
    return stream.getvalue()
