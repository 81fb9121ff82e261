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

_COMPUTES_KERAS = ("keras", "tensorflow-cpu")
_READS_H5 = (*_COMPUTES_KERAS, "h5py", "onnx", "tf2onnx")
"""What serving a bundle does not need, and requirements.txt therefore does not have."""
_log = logging.getLogger(__name__)


def open_bundle(folder: Path, source: str | None = None, revision: str = "", whole: bool = True) -> Predictor:
    """Load a bundle folder, verify it and check its golden probe.

    It is served from model.onnx; where that is missing or does not verify, Keras computes model.h5, and the log says
    why.

    Args:
        folder: the bundle.
        source: what the model is called in answers; the folder's name without it.
        revision: the commit, for a bundle from the Hub.
        whole: as for `load_bundle`.

    Raises:
        BundleError: it does not verify, or Keras would be needed and is not installed.
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
        keras_backend = _keras_instead_of_export(folder.name, error)
        if described.export is not None:
            _log.warning("served by Keras, more slowly: %s", error)
    return checked(
        keras_backend.from_weights(bundle.model_path, described.network, described.preprocess.size)
    )


def open_h5(path: Path, preprocess: PreprocessSpec | None = None) -> Predictor:
    """Load a bare .h5: threshold 0.5, uncalibrated.

    It is exported once and the export kept for the next time (`cxr.export.cache`).

    Args:
        path: the file.
        preprocess: how its images are preprocessed; None only for the original's kind of network, where that is known.

    Raises:
        BundleError: it is not a Keras model of one grayscale square input and one probability, or what reads it is
            not installed.
    """
    try:
        if preprocess is None and not is_of_the_originals_kind(path):
            raise BundleError(
                f"{path.name} does not say how images are preprocessed. Set MODEL_PREPROCESS, for example to "
                '{"size": 224, "resample": "bilinear"}.'
            )
        sha256 = sha256_of_file(path)
        content = export_cache.find(sha256)
        backend = _onnx(content) if content is not None else _exported(path, sha256)
    except ModuleNotFoundError as error:
        raise BundleError(
            f"Opening the bare .h5 file {path.name} needs {_missing(error, _READS_H5)}, which is not installed. "
            f"Run pip install {' '.join(_READS_H5)}, or serve a bundle."
        ) from error
    identity = ModelIdentity(path.name, "", "", sha256)
    return Predictor(backend, preprocess or seed_preprocess(backend.size), bare_decision(), identity)


def load_model(model: str, preprocess: PreprocessSpec | None = None) -> Predictor:
    """Load MODEL: a bundle folder or a bare .h5 file, which may need its preprocessing stated (`open_h5`).

    Raises:
        UsageError: it is neither.
        BundleError: it does not verify.
    """
    path = Path(model)
    if path.is_dir():
        return open_bundle(path)
    if path.is_file() and path.suffix in (".h5", ".hdf5"):
        return open_h5(path, preprocess)
    raise UsageError(
        f"MODEL={model} is neither a bundle folder nor a .h5 file. Check the path, or train a model first."
    )


def _onnx(content: bytes, weights: bytes | None = None) -> Backend:
    from cxr.model.onnx_backend import OnnxBackend  # here, because it imports ONNX Runtime

    return OnnxBackend(content, weights)


def _keras_instead_of_export(name: str, reason: BundleError) -> "type[KerasBackend]":
    """The Keras backend, or a BundleError that says what to install."""
    try:
        from cxr.model.keras_backend import KerasBackend  # here, because it imports TensorFlow
    except ModuleNotFoundError as error:
        raise BundleError(
            f"{reason} Without its export, {name} needs {_missing(error, _COMPUTES_KERAS)}, which is not installed: "
            f"run pip install {' '.join(_COMPUTES_KERAS)}, or repair the bundle."
        ) from error
    return KerasBackend


def _missing(error: ModuleNotFoundError, known: tuple[str, ...]) -> str:
    """The library that is not installed. Raises `error` again where it is none of the `known`: a fault of ours."""
    name = (error.name or "").partition(".")[0]
    if not any(package.startswith(name) for package in known if name):
        raise error
    return name


def _exported(path: Path, sha256: str) -> Backend:
    """A bare .h5 by its fresh export, or by Keras where it cannot be exported."""
    from cxr.export.onnx_export import export_checked  # here, because both import TensorFlow
    from cxr.model.keras_backend import KerasBackend

    original = KerasBackend.from_whole_model(path)
    try:
        content, _ = export_checked(original, bare_decision())
    except BundleError as error:
        _log.warning("served by Keras, more slowly: %s", error)
        return original
    export_cache.keep(sha256, content)
    return _onnx(content)
