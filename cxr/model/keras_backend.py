"""Keras as the predictor's backend. Importing this module imports TensorFlow."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from cxr.errors import BundleError
from cxr.model.backend import Outputs
from cxr.model.bundle import NetworkSpec
from cxr.model.networks import build_network
from cxr.model.readout import read_out
from cxr.model.untrusted_h5 import require_hdf5, require_plain_layers
from cxr.types import EvidenceMap, InputBatch


class KerasBackend:
    """A Keras model of one grayscale square input and one sigmoid output."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self._graph = _Graph(model)
        self.size = int(model.input_shape[1])

    @classmethod
    def from_weights(cls, path: Path, network: NetworkSpec, size: int) -> "KerasBackend":
        """Build a registered network and load weights only: nothing that the file describes is run."""
        require_hdf5(path)
        model = build_network(network.name, network.params, size)
        try:
            model.load_weights(path)
        except (OSError, ValueError, KeyError) as error:
            raise _unfit(path, f"weights of {network.name} at {size} x {size}", error) from error
        return cls(model)

    @classmethod
    def from_whole_model(cls, path: Path) -> "KerasBackend":
        """Load a bare .h5 of plain layers in Keras's safe mode, without its optimizer."""
        require_plain_layers(path)
        try:
            model = keras.models.load_model(path, compile=False, safe_mode=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _unfit(path, "a Keras model of plain layers", error) from error
        _check_contract(model, path)
        return cls(_threaded_once(model))

    def outputs(self, batch: InputBatch) -> Outputs:
        return _as_outputs(*self._graph.outputs(tf.constant(batch)))

    def evidence(self, batch: InputBatch) -> tuple[Outputs, EvidenceMap]:
        *found, maps = self._graph.evidence(tf.constant(batch))
        return _as_outputs(*found), maps.numpy().astype(np.float32)


def _as_outputs(logits: tf.Tensor, features: tf.Tensor, trunk: tf.Tensor | None) -> Outputs:
    frozen = None if trunk is None else trunk.numpy().astype(np.float32)
    return Outputs(logits.numpy().astype(np.float64), features.numpy().astype(np.float32), frozen)


class _Graph(tf.Module):
    """What is read out of the model, traced once for any batch size."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        read = read_out(model)
        parts = {"logit": read.logit, "features": read.features, "trunk": read.trunk, "map": read.evidence}
        if read.evidence is None:
            parts["places"] = read.places
        named = {name: tensor for name, tensor in parts.items() if tensor is not None}
        self._parts = keras.Model(model.inputs[0], named)
        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
        self.outputs = tf.function(self._outputs, input_signature=signature)
        evidence = self._gradient if read.evidence is None else self._by_design
        self.evidence = tf.function(evidence, input_signature=signature)

    def _outputs(self, batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        return _first_three(self._parts(batch, training=False))

    def _by_design(self, batch: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        found = self._parts(batch, training=False)
        return *_first_three(found), found["map"]

    def _gradient(self, batch: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        with tf.GradientTape() as tape:
            tape.watch(batch)
            found = self._parts(batch, training=False)
        places = found["places"]
        gradients = tape.gradient(found["logit"], places)
        cells = places.shape[1] * places.shape[2]
        return *_first_three(found), tf.reduce_sum(places * gradients, axis=-1) * cells


def _first_three(found: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
    return found["logit"][:, 0], found["features"], found.get("trunk")


def _threaded_once(model: keras.Model) -> keras.Model:
    """A Sequential model as a functional one.

    Keras threads a Sequential's layers anew for each that it adds, and so their first outputs are not connected.
    """
    if not isinstance(model, keras.Sequential):
        return model
    x = inputs = keras.Input(model.input_shape[1:])
    for layer in model.layers:
        fresh = type(layer).from_config(layer.get_config())
        x = fresh(x)
        fresh.set_weights(layer.get_weights())
    return keras.Model(inputs, x)


def _check_contract(model: keras.Model, path: Path) -> None:
    shape, head = model.input_shape, model.layers[-1]
    square = (
        isinstance(shape, tuple) and len(shape) == 4 and shape[1] == shape[2] and shape[3] == 1 and shape[1]
    )
    sigmoid_head = (
        isinstance(head, keras.layers.Dense | keras.layers.Activation)
        and head.activation is keras.activations.sigmoid
        and model.output_shape == (None, 1)
    )
    if not (square and sigmoid_head):
        raise BundleError(
            "a model from one square grayscale image to one sigmoid probability",
            f"{path.name} from {shape} to {model.output_shape} by {type(head).__name__}",
            "pass a model of the original's kind, or a bundle",
        )


def _unfit(path: Path, expected: str, error: Exception) -> BundleError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return BundleError(expected, f"{path.name} ({reason[:160]})", "pass an undamaged file of that kind")
