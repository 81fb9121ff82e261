"""Keras as the predictor's backend. Importing this module imports TensorFlow."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cxr.errors import BundleError
from cxr.model.backend import Outputs
from cxr.model.bundle import NetworkSpec
from cxr.model.networks import build_network
from cxr.model.readout import read_out
from cxr.model.untrusted_h5 import drop_keras_2_settings, require_hdf5, require_plain_layers
from cxr.types import EvidenceMap, InputBatch


class KerasBackend:
    """A Keras model of one square grayscale input and one sigmoid output."""

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
        """Load a bare .h5 of plain layers in Keras's safe mode, without its optimizer.

        Models inside the model (a base network under a new head, a Sequential in a Sequential) are taken apart into
        their layers, so that the head can be split from the last feature maps. A model of three channels, as all of
        keras.applications are, reads the gray film in each of them.

        Raises:
            BundleError: The file holds something else, or Keras cannot read it or take it apart.
        """
        require_plain_layers(path)
        try:
            model = _load_whole(path)
            _check_contract(model, path)
            return cls(flattened(model))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _unfit(path, "a Keras model of plain layers", error) from error

    def outputs(self, batch: InputBatch) -> Outputs:
        return _as_outputs(*self._graph.outputs(tf.constant(batch)))

    def evidence(self, batch: InputBatch) -> tuple[Outputs, EvidenceMap]:
        *found, maps = self._graph.evidence(tf.constant(batch))
        return _as_outputs(*found), maps.numpy().astype(np.float32)


def _as_outputs(logits: tf.Tensor, features: tf.Tensor, trunk: tf.Tensor | None) -> Outputs:
    middle = None if trunk is None else trunk.numpy().astype(np.float32)
    return Outputs(logits.numpy().astype(np.float64), features.numpy().astype(np.float32), middle)


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


def _load_whole(path: Path) -> keras.Model:
    """The model of a whole .h5; where Keras 2 wrote settings that Keras 3 refuses, without those settings."""
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(shutil.copy(path, folder))
            if not drop_keras_2_settings(copy):
                raise
            return keras.models.load_model(copy, compile=False, safe_mode=True)


def flattened(model: keras.Model) -> keras.Model:
    """The same network as one functional model without models inside, with layers and weights of its own.

    Keras keeps the tensors of an inner model apart from those of the outer one, and threads a Sequential's layers
    anew for each that it adds: in either case the last feature maps are not connected to the input. Of several
    channels, each gets the gray film.
    """
    *square, channels = model.input_shape[1:]
    gray = keras.Input((*square, 1))
    inputs = (
        gray if channels == 1 else keras.layers.Concatenate(name="gray_in_each_channel")([gray] * channels)
    )
    return keras.Model(gray, _through(model, inputs, {}))


def _through(part: Any, inputs: Any, copies: dict[str, tuple[Any, keras.layers.Layer]]) -> Any:
    """`inputs` led through a layer, or through the layers of a model one by one.

    copies: the copy of each layer by its name in the new model, beside the original. A layer that is used twice is
    copied once.
    """
    if isinstance(part, keras.Sequential):
        for layer in part.layers:
            inputs = _through(layer, inputs, copies)
        return inputs
    if isinstance(part, keras.Model):
        made = [inputs]

        def call(step: Any, *args: Any, **_: Any) -> Any:
            made.append(_through(step, args[0], copies) if len(args) == 1 else step(*args))
            return made[-1]

        keras.models.clone_model(
            part, input_tensors=inputs, clone_function=lambda layer: layer, call_function=call
        )
        # The last layer's own answer: the clone's outputs are cut off from inputs that are no model's beginning.
        return made[-1]
    if not isinstance(part, keras.layers.Layer):
        return part(inputs)  # an operation without weights, such as a sum
    if isinstance(part, keras.layers.Normalization):
        part = _as_rescaling(part)
    name = next((name for name, (original, _) in copies.items() if original is part), None)
    if name is None:
        config = part.get_config()
        name = config["name"] = part.name if part.name not in copies else f"{part.name}_{len(copies)}"
        copies[name] = (part, type(part).from_config(config))
    copy = copies[name][1]
    outputs = copy(inputs)
    copy.set_weights(part.get_weights())
    return outputs


def _as_rescaling(part: keras.layers.Normalization) -> keras.layers.Rescaling:
    """The same arithmetic with constants, which the export can read."""
    if part.invert:
        raise ValueError(f"The layer {part.name} undoes a normalisation.")
    scale = 1 / np.maximum(np.sqrt(np.asarray(part.variance)), keras.config.epsilon())
    return keras.layers.Rescaling(scale.tolist(), (-np.asarray(part.mean) * scale).tolist(), name=part.name)


def _check_contract(model: keras.Model, path: Path) -> None:
    shape, head = model.input_shape, model.layers[-1]
    square = isinstance(shape, tuple) and len(shape) == 4 and shape[1] == shape[2] and shape[1]
    if not square or shape[3] not in (1, 3):
        raise BundleError(
            f"{path.name} reads {shape}, but a film is one square image of a fixed size with one channel, or with "
            "three that are alike. Pass a model of such an input."
        )
    sigmoid_head = (
        isinstance(head, keras.layers.Dense | keras.layers.Activation)
        and head.activation is keras.activations.sigmoid
        and model.output_shape == (None, 1)
    )
    if not sigmoid_head:
        raise BundleError(
            f"{path.name} ends in the layer {head.name} ({type(head).__name__}) with the output {model.output_shape}, "
            "but its answer must be one probability by a sigmoid, of the shape (None, 1). Pass such a model, or a "
            "bundle."
        )


def _unfit(path: Path, expected: str, error: Exception) -> BundleError:
    """Keras's own last line says what it could not do, and mostly with which layer."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    layer = next((line for line in lines if "layer" in line.lower()), "")
    reason = lines[-1] if layer in ("", lines[-1]) else f"{layer[:400]} ... {lines[-1][:400]}"
    return BundleError(f"{path.name} does not hold {expected} that can be read. Keras says: {reason[:900]}")
