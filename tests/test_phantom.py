"""Phantoms: reproducible, one film with and without disease, and separable only by the opacity itself."""

import hashlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr.phantom import (
    OpacitySubtype,
    PhantomRecord,
    Subtype,
    add_opacity,
    make_phantom,
    phantom_split,
    write_phantoms,
)

SIZE = 96
DISEASES: tuple[OpacitySubtype, ...] = ("bacterial", "viral")
SUBTYPES: tuple[Subtype, ...] = ("normal", *DISEASES)


def digest(seed: int, subtype: Subtype) -> str:
    phantom = make_phantom(seed, subtype, SIZE)
    return hashlib.sha256(phantom.pixels.tobytes() + phantom.opacity_mask.tobytes()).hexdigest()


def widened(mask: np.ndarray, steps: int) -> np.ndarray:
    for _ in range(steps):
        padded = np.pad(mask, 1)
        mask = (
            padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
        )
    return mask


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    """A normal film of 90 rows and 120 columns, so that a mix-up of the two shows."""
    image = Image.fromarray(make_phantom(4, "normal", 120).pixels)
    return np.asarray(image.resize((120, 90), Image.Resampling.BOX))


# --- One phantom


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_same_arguments_same_bytes_whatever_the_global_state(subtype: Subtype) -> None:
    np.random.seed(1)
    first = digest(5, subtype)
    np.random.seed(2)
    make_phantom(6, subtype, SIZE)
    assert digest(5, subtype) == first


def test_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib; from cxr.phantom import make_phantom\n"
        f"p = make_phantom(5, 'viral', {SIZE})\n"
        "print(hashlib.sha256(p.pixels.tobytes() + p.opacity_mask.tobytes()).hexdigest())"
    )
    root = Path(__file__).parents[1]
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == digest(5, "viral")


def test_different_seeds_differ() -> None:
    assert len({digest(seed, "normal") for seed in range(30)}) == 30


@pytest.mark.parametrize("size", [32, 97, 224])
@pytest.mark.parametrize("subtype", SUBTYPES)
def test_shapes_types_and_read_only(subtype: Subtype, size: int) -> None:
    phantom = make_phantom(1, subtype, size)
    assert phantom.pixels.shape == phantom.opacity_mask.shape == (size, size)
    assert phantom.pixels.dtype == np.uint8 and phantom.opacity_mask.dtype == np.bool_
    assert not phantom.pixels.flags.writeable and not phantom.opacity_mask.flags.writeable
    assert (phantom.subtype, phantom.seed) == (subtype, 1)


@pytest.mark.parametrize("seed", range(8))
def test_masks_are_empty_for_normals_and_a_plausible_part_of_the_film_otherwise(seed: int) -> None:
    assert not make_phantom(seed, "normal", SIZE).opacity_mask.any()
    assert 0.003 < make_phantom(seed, "bacterial", SIZE).opacity_mask.mean() < 0.2
    viral = make_phantom(seed, "viral", SIZE).opacity_mask
    assert 0.05 < viral.mean() < 0.4
    # Bilateral: a good part on each side of the film.
    left = viral[:, : SIZE // 2].sum() / viral.sum()
    assert 0.2 < left < 0.8


@pytest.mark.parametrize("subtype", DISEASES)
def test_disease_brightens_its_mask_and_changes_nothing_else(subtype: OpacitySubtype) -> None:
    for seed in range(8):
        phantom = make_phantom(seed, subtype, SIZE)
        change = phantom.pixels.astype(int) - make_phantom(seed, "normal", SIZE).pixels
        inside = change[phantom.opacity_mask].mean()
        assert inside > 8
        assert inside > 8 * abs(change[~phantom.opacity_mask].mean())
        # Away from it the films agree to the last bit: pose, exposure, grain, marker and borders.
        away = ~widened(phantom.opacity_mask, 30)
        assert away.mean() > 0.03
        assert not change[away].any()


def test_films_of_one_patient_share_anatomy_and_side_of_disease_but_not_exposure() -> None:
    middle = SIZE / 2
    for patient in range(8):
        pair = [make_phantom(seed, "bacterial", SIZE, thorax_seed=patient) for seed in (100, 200)]
        assert (pair[0].pixels != pair[1].pixels).mean() > 0.5
        sides = [np.nonzero(phantom.opacity_mask)[1].mean() > middle for phantom in pair]
        assert sides[0] == sides[1]
    # With one film seed, another thorax is another picture: thorax_seed is not ignored.
    pictures = [make_phantom(100, "normal", SIZE, thorax_seed=patient).pixels for patient in (1, 2)]
    assert (pictures[0] != pictures[1]).mean() > 0.5


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ((-1, "normal", 64), r"^Seeds are 0 or more, but these are -1 and -1\.$"),
        ((1, "fungal", 64), "The subtype 'fungal' is not normal, bacterial or viral"),
        ((1, "normal", 31), "A size of 31 pixels is below 32"),
    ],
)
def test_wrong_arguments_name_the_rule(arguments: tuple[int, Subtype, int], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        make_phantom(*arguments)


# --- What separates the classes


@pytest.fixture(scope="module")
def data_set() -> tuple[list[PhantomRecord], np.ndarray, np.ndarray]:
    """Records, pixels (n, SIZE, SIZE) and y_true of 180 films."""
    records = phantom_split(180, seed=11)
    films = np.stack([make_phantom(r.seed, r.subtype, SIZE, r.thorax_seed).pixels for r in records])
    return records, films, np.array([r.label == "PNEUMONIA" for r in records])


def test_brightness_and_sharpness_do_not_separate_the_classes(
    data_set: tuple[list[PhantomRecord], np.ndarray, np.ndarray],
) -> None:
    _, films, y_true = data_set
    flat = films.reshape(len(films), -1).astype(float)
    across, down = (np.abs(np.diff(films.astype(float), axis=axis)).mean((1, 2)) for axis in (2, 1))
    features = np.stack(
        [flat.mean(1), flat.std(1), across, down, *np.percentile(flat, [25, 50, 75], axis=1)], axis=1
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    y_prob = cross_val_predict(model, features, y_true, cv=5, method="predict_proba")[:, 1]
    assert roc_auc_score(y_true, y_prob) < 0.85


def test_the_mask_is_where_the_classes_differ(
    data_set: tuple[list[PhantomRecord], np.ndarray, np.ndarray],
) -> None:
    """Brightness at the mask tells bacterial from normal films; at another patient's mask it does not."""
    records, films, _ = data_set
    chosen = [i for i, record in enumerate(records) if record.subtype != "viral"]
    y_true = [records[i].subtype == "bacterial" for i in chosen]
    masks = []
    for i in chosen:
        # A normal film is measured where its patient's opacity would have been.
        masks.append(make_phantom(records[i].seed, "bacterial", SIZE, records[i].thorax_seed).opacity_mask)
    here = [brightness_at(films[i], mask) for i, mask in zip(chosen, masks, strict=True)]
    elsewhere = [brightness_at(films[i], mask) for i, mask in zip(chosen, np.roll(masks, 1, 0), strict=True)]
    assert roc_auc_score(y_true, here) > 0.9
    assert roc_auc_score(y_true, elsewhere) < 0.75


def brightness_at(film: np.ndarray, mask: np.ndarray) -> float:
    """Mean gray value inside the mask, in standard deviations of the film from the film's mean."""
    return float((film[mask].mean() - film.mean()) / film.std())


# --- Opacities in an existing film


@pytest.mark.parametrize("subtype", DISEASES)
@pytest.mark.parametrize("seed", range(6))
def test_add_opacity_brightens_its_mask_only_and_leaves_its_input(
    film: np.ndarray, subtype: OpacitySubtype, seed: int
) -> None:
    before = film.copy()
    planted, mask = add_opacity(film, seed, subtype)
    change = planted.astype(int) - film
    assert np.array_equal(film, before)
    assert planted.dtype == np.uint8 and planted.shape == mask.shape == film.shape
    assert change[mask].mean() > 3
    assert change.min() >= 0
    assert not change[~widened(mask, 25)].any()
    assert change[~mask].mean() < change[mask].mean() / 4
    assert np.array_equal(add_opacity(film, seed, subtype)[0], planted)


@pytest.mark.parametrize("subtype", DISEASES)
def test_add_opacity_stays_in_its_region(subtype: OpacitySubtype) -> None:
    film = make_phantom(4, "normal", 224).pixels  # large enough for the region's edge to be softened
    region = np.zeros(film.shape, np.bool_)
    region[60:130, 45:90] = True  # one lung
    for seed in range(4):
        planted, mask = add_opacity(film, seed, subtype, region)
        assert mask.any() and not (mask & ~region).any()
        assert np.array_equal(planted[~region], film[~region])
        assert (planted.astype(int) - film)[mask].mean() > 3


def test_add_opacity_shows_on_a_film_of_one_brightness() -> None:
    flat = np.full((64, 64), 90, np.uint8)
    planted, mask = add_opacity(flat, 0, "bacterial")
    assert planted[mask].mean() > 105


@pytest.mark.parametrize(
    ("pixels", "subtype", "region", "rule"),
    [
        (np.zeros((64, 64), np.float32), "viral", None, r"not uint8 \(height, width\)"),
        (np.zeros((64, 64, 3), np.uint8), "viral", None, r"not uint8 \(height, width\)"),
        (np.zeros((64, 64), np.uint8), "normal", None, "is not bacterial or viral"),
        (np.zeros((64, 64), np.uint8), "viral", np.zeros((64, 64), np.bool_), "0 True pixels"),
        (
            np.zeros((64, 64), np.uint8),
            "viral",
            np.ones((64, 60), np.bool_),
            r"^The region has shape \(64, 60\)",
        ),
    ],
)
def test_add_opacity_names_the_broken_rule(
    pixels: np.ndarray, subtype: OpacitySubtype, region: np.ndarray | None, rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        add_opacity(pixels, 0, subtype, region)


# --- Data sets


@pytest.mark.parametrize("n", [12, 13, 14, 15, 23, 50, 401])
@pytest.mark.parametrize("seed", range(5))
def test_split_has_all_films_both_classes_everywhere_and_patients_on_one_side(n: int, seed: int) -> None:
    records = phantom_split(n, seed)
    assert len(records) == n == len({r.path.name for r in records})
    assert {(r.split, r.label) for r in records} == {
        (split, label) for split in ("train", "val", "test") for label in ("NORMAL", "PNEUMONIA")
    }
    subtypes = Counter(r.subtype for r in records)
    assert abs(subtypes["normal"] - n / 2) <= 1
    assert abs(subtypes["bacterial"] - n / 4) <= 1 and abs(subtypes["viral"] - n / 4) <= 1
    for key in ("patient", "thorax_seed"):
        places = {(getattr(r, key), r.split, r.subtype) for r in records}
        assert len(places) == len({getattr(r, key) for r in records})
    assert Counter(Counter(r.patient for r in records).values())[2] >= 1  # some patients have two films
    assert len({r.seed for r in records}) == n


def test_split_is_about_70_10_20() -> None:
    splits = Counter(r.split for r in phantom_split(1000))
    assert splits["train"] == pytest.approx(700, abs=10)
    assert splits["val"] == pytest.approx(100, abs=6)
    assert splits["test"] == pytest.approx(200, abs=6)


def test_split_depends_on_its_seed_alone() -> None:
    assert phantom_split(40, 1) == phantom_split(40, 1)
    assert phantom_split(40, 1) != phantom_split(40, 2)


def test_file_names_follow_the_kaggle_data_set() -> None:
    for record in phantom_split(60):
        if record.subtype == "normal":
            match = re.fullmatch(r"IM-(\d{4})-000[12]\.jpeg", record.file_name)
        else:
            germ = "bacteria" if record.subtype == "bacterial" else "virus"
            match = re.fullmatch(rf"person(\d+)_{germ}_\d+\.jpeg", record.file_name)
        assert match and int(match[1]) == record.patient


def test_too_few_phantoms_names_the_rule() -> None:
    with pytest.raises(ValueError, match=r"^11 phantoms are too few .*Ask for 12 or more\.$"):
        phantom_split(11)


def test_write_phantoms_twice_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_phantoms(tmp_path / name, 14, seed=3, size=64, masks=True)
    first = tree(tmp_path / "a")
    assert first == tree(tmp_path / "b")
    films = {name for name in first if not name.startswith("masks")}
    assert films == {str(record.path) for record in phantom_split(14, 3)}
    assert {name for name in first if name.startswith("masks")} == {
        str(Path("masks", name).with_suffix(".png")) for name in films
    }
    write_phantoms(tmp_path / "c", 14, seed=4, size=64)
    other = tree(tmp_path / "c")
    assert len(other) == 14 and not set(other.values()) & set(first.values())


def test_written_films_are_the_phantoms_in_grayscale_jpeg(tmp_path: Path) -> None:
    write_phantoms(tmp_path, 12, size=64, masks=True)
    for record in phantom_split(12):
        phantom = make_phantom(record.seed, record.subtype, 64, record.thorax_seed)
        with Image.open(tmp_path / record.path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "L", (64, 64))
            assert b"phantom" in image.info["comment"]
            assert np.abs(np.asarray(image, float) - phantom.pixels).mean() < 4
        with Image.open((tmp_path / "masks" / record.path).with_suffix(".png")) as mask:
            assert np.array_equal(np.asarray(mask) > 127, phantom.opacity_mask)


def test_write_phantoms_leaves_a_folder_in_use_alone(tmp_path: Path) -> None:
    (tmp_path / "film.jpeg").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="is not a new or empty folder"):
        write_phantoms(tmp_path, 12)
    assert tree(tmp_path) == {"film.jpeg": b"mine"}


def test_write_phantoms_refuses_before_it_writes(tmp_path: Path) -> None:
    for n, size, rule in ((11, 64, "11 phantoms are too few"), (12, 16, "A size of 16 pixels is below 32")):
        with pytest.raises(ValueError, match=rule):
            write_phantoms(tmp_path / "new", n, size=size)
        assert not (tmp_path / "new").exists()
