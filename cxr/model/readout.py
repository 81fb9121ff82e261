"""What is read out of a Keras network, apart from its probability: logit, features, trunk features, evidence map.

The Keras backend computes it, and the export writes the same into ONNX. Importing this module imports TensorFlow.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from cxr.model.efficientnet_lite import EVIDENCE, FILM, MIXED, trunk_stages


@dataclass(frozen=True)
class Readout:
    """Symbolic tensors of a model.

    logit: (n, 1), because the sigmoid itself rounds to 1 for logits above 17.
    places: (n, height, width, c), the last feature maps.
    features: (n, d), what the last linear layer reads; of a network with a map by design, the mean of the channels
        that its evidence is made of, weighted as the logit weights their places, and after them the pooled
        channels that the film as a whole is read from, where it is.
    trunk: (n, t), features of the body's middle stages for the input gate; None for other networks.
    evidence: (n, height, width), the log-odds of each place, whose weighted mean is the logit, or what places add to
        it where the film as a whole adds to it, too; None for a network without a map by design, whose map comes from
        the gradient at `places`.
    """

    logit: Any
    places: Any
    features: Any
    trunk: Any | None = None
    evidence: Any | None = None


def read_out(model: keras.Model) -> Readout:
    """The parts of `model`, whose head is a dense layer of one unit with a sigmoid, or a sigmoid alone."""
    places = [*model.inputs, *(layer.output for layer in model.layers if len(layer.output.shape) == 4)][-1]
    head = model.layers[-1]
    trunk = _trunk(model)
    if isinstance(head, layers.Activation):
        return Readout(head.input, places, head.input, trunk)
    linear = layers.Dense(head.units, use_bias=head.use_bias, dtype="float32", name="logit")
    logit = linear(head.input)
    linear.set_weights(head.get_weights())
    if EVIDENCE not in {layer.name for layer in model.layers}:
        return Readout(logit, places, head.input, trunk)
    return _by_design(model, linear, logit, trunk)


def _by_design(model: keras.Model, linear: keras.layers.Dense, logit: Any, trunk: Any | None) -> Readout:
    read, places = model.get_layer(MIXED).output, model.get_layer(EVIDENCE).output
    _, height, width, channels = read.shape
    weights = model.get_layer("weights").output
    features = ops.einsum("np,npc->nc", weights, ops.reshape(read, (-1, height * width, channels)))
    scale, offset = (float(values.flat[0]) for values in linear.get_weights())
    evidence = places[..., 0] * scale
    if FILM in {layer.name for layer in model.layers}:
        film = model.get_layer(FILM).output
        return Readout(logit, places, ops.concatenate([features, film], axis=-1), trunk, evidence)
    return Readout(logit, places, features, trunk, evidence + offset)


def _trunk(model: keras.Model) -> Any | None:
    """Mean and deviation over places of the stages' channels, stage by stage."""
    ends = trunk_stages(model)
    if not ends:
        return None
    numbers = []
    for end in ends:
        maps = ops.cast(end, "float32")
        mean = ops.mean(maps, axis=(1, 2), keepdims=True)
        variance = ops.mean(ops.square(maps - mean), axis=(1, 2))
        numbers += [mean[:, 0, 0], ops.sqrt(variance)]
    return ops.concatenate(numbers, axis=-1)
