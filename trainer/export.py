"""python -m trainer export: add the network in ONNX to a bundle that exists, or renew it."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from cxr.data.films import read_manifest
from cxr.data.loading import load_films
from cxr.data.sources import open_data
from cxr.errors import DataError
from cxr.model.bundle import MODEL_FILE, Bundle, add_export, load_bundle
from cxr.types import ModelPixels


@dataclass(frozen=True)
class ExportConfig:
    """Add model.onnx to a bundle, or renew it, so that it is served without TensorFlow."""

    bundle: tyro.conf.Positional[Path]
    """Folder of the bundle."""
    data: str | None = None
    """DATA that the bundle was trained on: its validation films prove the export. Without it, phantoms do."""
    debug: bool = False
    """Show the traceback of an error."""


def export(config: ExportConfig) -> None:
    """Export model.h5, prove that both give the same answers, and note it in bundle.json.

    Only model.onnx and its entry in bundle.json change.

    Raises:
        BundleError: the bundle does not verify, or the export differs; nothing is changed.
        DataError: --data is not what the bundle was trained on; nothing is changed.
    """
    bundle = load_bundle(config.bundle)
    films = None if config.data is None else _validation_pixels(bundle, config.data)
    # Here, so that what is wrong with the bundle or the data is reported before TensorFlow loads.
    from cxr.export.onnx_export import export_checked
    from cxr.model.keras_backend import KerasBackend

    described = bundle.description
    truth = KerasBackend.from_weights(bundle.model_path, described.network, described.preprocess.size)
    content, record = export_checked(truth, described.decision, films, bundle.model_path)
    add_export(bundle, content, record)
    print(
        f"{len(content) / 1e6:.1f} MB; compared with {MODEL_FILE} on {record.films} {record.films_are}: "
        f"probabilities differ by at most {record.probability_difference:.1g}, "
        f"evidence by {record.evidence_difference:.1g}"
    )


def _validation_pixels(bundle: Bundle, data: str) -> ModelPixels:
    recorded = _validation_films(bundle.folder / "manifest.csv")
    source = open_data(data)
    wanted = [film for film in source.films if film.path in recorded]
    loaded, _ = load_films(source, wanted, bundle.description.preprocess)
    same = loaded.take([film.sha256 == recorded[film.path] for film in loaded.films])
    if not same.films:
        raise DataError(
            "--data holds none of the bundle's validation films. Name the data set that it was trained on."
        )
    return same.pixels


def _validation_films(manifest: Path) -> dict[str, str]:
    """sha256 by path."""
    try:
        films = read_manifest(manifest)
    except DataError as error:
        raise DataError(
            "The bundle's manifest.csv, which names its validation films, cannot be read. Leave --data out."
        ) from error
    return {film.path: film.sha256 for film in films if film.split == "validation"}
