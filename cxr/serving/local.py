"""A bundle folder or a bare .h5 on this machine -> Predictor."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.errors import BundleError, UsageError
from cxr.export import cache as export_cache
from cxr.files import sha256_of_file
from cxr.imaging.preprocess import PreprocessSpec, seed_preprocess
from cxr.model.backend import Backend
from cxr.model.bundle import load_bundle
from cxr.model.decision import bare_decision
from cxr.model.input_gate import load_gate
from cxr.model.predictor import ModelIdentity, Predictor
from cxr.model.untrusted_h5 import is_of_the_originals_kind

if TYPE_CHECKING:
    from cxr.model.keras_backend import KerasBackend

_log = logging.getLogger(__name__)


def open_bundle(folder: Path, source: str | None = None, revision: str = "", whole: bool = True) -> Predictor:
    """Load a bundle folder, verify it (`whole` as for load_bundle), and check its golden probe.

    Served from model.onnx; where that is missing or does not verify, Keras computes model.h5, and why is logged.
    Raises BundleError.
    """
    bundle = load_bundle(folder, whole)
    described = bundle.description
    identity = ModelIdentity(source or folder.name, revision, described.version, bundle.model_sha256)
    gate = load_gate(bundle.folder / described.input_gate.file) if described.input_gate else None

    def checked(backend: Backend) -> Predictor:
        predictor = Predictor(backend, described.preprocess, described.decision, identity, bundle, gate)
        predictor.check_probe(described.probe.logit, described.probe.tolerance)
        return predictor

    try:
        return checked(_onnx(bundle.read_export(), bundle.read_weights()))
    except BundleError as error:
        keras_backend = _keras_for(folder.name, error)
        if described.export is not None:
            _log.warning("served by Keras, more slowly: %s", error)
    return checked(
        keras_backend.from_weights(bundle.model_path, described.network, described.preprocess.size)
    )


def open_h5(path: Path, preprocess: PreprocessSpec | None = None) -> Predictor:
    """Load a bare .h5: threshold 0.5, uncalibrated.

    preprocess: how its films are to be read; None only for the original's kind of network, whose way is known.

    It is exported once and the export kept for the next time (`cxr.export.cache`). Raises BundleError where
    the file is not a Keras model of one grayscale square input and one probability.
    """
    if preprocess is None and not is_of_the_originals_kind(path):
        raise BundleError(
            "the preprocessing of a .h5 that is not of the original's kind",
            f"{path.name} without",
            'state it, for example MODEL_PREPROCESS=\'{"size": 224, "resample": "bilinear"}\'',
        )
    sha256 = sha256_of_file(path)
    content = export_cache.find(sha256)
    backend = _onnx(content) if content is not None else _exported(path, sha256)
    identity = ModelIdentity(path.name, "", "", sha256)
    return Predictor(backend, preprocess or seed_preprocess(backend.size), bare_decision(), identity)


def load_model(model: str, preprocess: PreprocessSpec | None = None) -> Predictor:
    """Load MODEL: a bundle folder or a bare .h5 file, which may need its preprocessing stated (`open_h5`).

    Raises UsageError if it is neither, else BundleError.
    """
    path = Path(model)
    if path.is_dir():
        return open_bundle(path)
    if path.is_file() and path.suffix in (".h5", ".hdf5"):
        return open_h5(path, preprocess)
    raise UsageError(
        "MODEL to be a bundle folder or a bare .h5 file", repr(model), "check the path, or train one first"
    )


def _onnx(content: bytes, weights: bytes | None = None) -> Backend:
    from cxr.model.onnx_backend import OnnxBackend  # here, because it imports ONNX Runtime

    return OnnxBackend(content, weights)


def _keras_for(name: str, reason: BundleError) -> "type[KerasBackend]":
    """The Keras backend, or a BundleError that says what to install."""
    try:
        from cxr.model.keras_backend import KerasBackend  # here, because it imports TensorFlow
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("tensorflow", "keras"):
            raise
        raise BundleError(
            f"Keras and TensorFlow to compute {name} ({reason})",
            f"no {error.name}",
            "pip install keras tensorflow-cpu",
        ) from error
    return KerasBackend


def _exported(path: Path, sha256: str) -> Backend:
    """A bare .h5 by its fresh export, or by Keras where it cannot be exported."""
    no_export = BundleError("an export of it in the cache", "none", "it is made once")
    original = _keras_for(path.name, no_export).from_whole_model(path)
    from cxr.export.onnx_export import export_checked

    try:
        content, _ = export_checked(original, bare_decision())
    except BundleError as error:
        _log.warning("served by Keras, more slowly: %s", error)
        return original
    export_cache.keep(sha256, content)
    return _onnx(content)
