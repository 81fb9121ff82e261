"""Keras network -> ONNX with logits, features and evidence map, and the proof that both give the same answers.

The evidence map needs no automatic differentiation: a network has one by design, or between its last feature maps
and the logit are pooling or flattening, dense layers and ReLU, whose gradient is written down here in closed form.
Importing this module imports TensorFlow.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from cxr.errors import BundleError
from cxr.export.onnx_layers import exportable
from cxr.imaging.decode import from_array
from cxr.imaging.preprocess import PreprocessSpec, to_input_batch, to_model_pixels
from cxr.model.backend import Backend
from cxr.model.bundle import MAX_EVIDENCE_DIFFERENCE, MAX_PROBABILITY_DIFFERENCE, ExportRecord, probe_pixels
from cxr.model.decision import DecisionSpec
from cxr.model.keras_backend import KerasBackend
from cxr.model.onnx_backend import INPUT, OUTPUTS, TRUNK, OnnxBackend
from cxr.model.readout import read_out
from cxr.phantom import make_phantom
from cxr.types import ModelPixels

OPSET = 17
_ELEMENTWISE = ("Add", "Div", "Mul", "Sub")
_BATCH = 32


def export_network(model: keras.Model) -> bytes:
    """The network as an ONNX file (contract: `cxr.model.onnx_backend`), for any batch size.

    Raises BundleError where the head is of another kind than ours, or the export's libraries are not installed.
    """
    missing = [name for name in ("onnx", "tf2onnx") if find_spec(name) is None]
    if missing:
        raise BundleError(
            f"The export needs {missing[0]}, which is not installed. Run pip install onnx tf2onnx."
        )
    wide = _with_evidence(exportable(model))
    wide(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras exports a model only after its first call
    with tempfile.TemporaryDirectory() as folder, _quietly():
        path = Path(folder) / "model.onnx"
        wide.export(path, format="onnx", verbose=False, opset_version=OPSET)
        return _with_names(path)


def export_checked(
    truth: KerasBackend,
    decision: DecisionSpec,
    films: ModelPixels | None = None,
    weights: Path | None = None,
) -> tuple[bytes, ExportRecord]:
    """Export a network and compare both on validation films uint8 (n, size, size), or on phantoms without them.

    weights: the .h5 that `truth` was read from, where the export shall name its weights rather than hold them.
    Raises BundleError as `export_network`, and where the answers differ too much.
    """
    content = export_network(truth.model)
    if weights is not None:
        from cxr.export.onnx_weights import without_weights  # here, because it imports onnx

        content = without_weights(content, weights)
    served = OnnxBackend(content, None if weights is None else weights.read_bytes())
    compared = _test_pixels(truth.size) if films is None else films
    probability, evidence = _differences(truth, served, compared, decision)
    if not (probability < MAX_PROBABILITY_DIFFERENCE and evidence < MAX_EVIDENCE_DIFFERENCE):
        raise BundleError(
            f"The export differs from the model by up to {probability:.2g} in probability and {evidence:.2g} in "
            f"evidence; {MAX_PROBABILITY_DIFFERENCE} and {MAX_EVIDENCE_DIFFERENCE} are allowed. Report this network."
        )
    return content, ExportRecord(
        films=len(compared),
        films_are="phantoms and noise" if films is None else "validation films",
        probability_difference=probability,
        evidence_difference=evidence,
    )


def _differences(
    truth: Backend, exported: Backend, pixels: ModelPixels, decision: DecisionSpec
) -> tuple[float, float]:
    """Largest difference of the probabilities, and of the evidence maps.

    The latter as a share of a film's largest evidence, where that is above 1. NaN where any is.
    """
    probability, evidence = [0.0], [0.0]
    for start in range(0, len(pixels), _BATCH):
        batch = to_input_batch(pixels[start : start + _BATCH])
        (expected, *_), expected_maps = truth.evidence(batch)
        (found, *_), maps = exported.evidence(batch)
        between = np.abs(decision.probabilities(expected) - decision.probabilities(found))
        scale = np.maximum(1, np.abs(expected_maps).max(axis=(1, 2), keepdims=True))
        probability.append(between.max())
        evidence.append((np.abs(expected_maps - maps) / scale).max())
    return float(np.max(probability)), float(np.max(evidence))


def _test_pixels(size: int) -> ModelPixels:
    spec = PreprocessSpec(size=size, resample="bilinear")
    phantoms = [make_phantom(1, "normal"), make_phantom(2, "bacterial"), make_phantom(3, "viral")]
    films = [to_model_pixels(from_array(phantom.pixels), spec) for phantom in phantoms]
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size), np.uint8)
    return np.stack([*films, probe_pixels(size), *noise])


def _with_evidence(model: keras.Model) -> keras.Model:
    """The model with outputs in the order of OUTPUTS, and the trunk's features after them where there are any."""
    read = read_out(model)
    places, evidence = read.places, read.evidence
    if evidence is None:
        cells = places.shape[1] * places.shape[2]
        evidence = ops.sum(places * _gradient(model, places, read.logit), axis=-1) * cells
    trunk = [] if read.trunk is None else [read.trunk]
    return keras.Model(model.inputs[0], [ops.squeeze(read.logit, -1), read.features, evidence, *trunk])


def _gradient(model: keras.Model, places: Any, logit: Any) -> Any:
    """d logit / d places, (n or 1, height, width, channels), by going back through the head's layers."""
    _, height, width, channels = places.shape
    gradient: Any = ops.ones_like(logit)
    for layer in reversed(_head_layers(model, places)):
        if isinstance(layer, layers.Dense):
            if layer is not model.layers[-1] and layer.activation is keras.activations.relu:
                gradient = gradient * ops.cast(layer.output > 0, "float32")
            elif layer is not model.layers[-1] and layer.activation is not keras.activations.linear:
                raise _unknown_head(layer)
            gradient = ops.einsum("no,io->ni", gradient, layer.kernel)
        elif isinstance(layer, layers.GlobalAveragePooling2D):
            gradient = ops.reshape(gradient / (height * width), (-1, 1, 1, channels))
        elif isinstance(layer, layers.Flatten):
            gradient = ops.reshape(gradient, (-1, height, width, channels))
        elif not (isinstance(layer, layers.Dropout) or layer is model.layers[-1]):
            raise _unknown_head(layer)
    return gradient


def _head_layers(model: keras.Model, places: Any) -> list[keras.layers.Layer]:
    """The layers after the last feature maps. Raises BundleError where they branch."""
    spatial = [number for number, layer in enumerate(model.layers, 1) if len(layer.output.shape) == 4]
    flat = model.layers[max(spatial, default=0) :]
    read = places
    for layer in flat:
        if layer.input is not read:
            raise _unknown_head(layer)
        read = layer.output
    return flat


def _unknown_head(layer: keras.layers.Layer) -> BundleError:
    return BundleError(
        f"The layer {layer.name} ({type(layer).__name__}) cannot be exported: after the last feature maps only "
        "pooling, flattening, dense layers and ReLU can. Keras serves the model instead."
    )


def _with_names(path: Path) -> bytes:
    """The exported file's bytes with our names for inputs, outputs and the batch's axis, the same in every run.

    The converter's own names count up through a process, and its order of nodes and constants changes.
    """
    import onnx

    loaded = onnx.load(path)
    graph = loaded.graph
    shapes = _shapes(loaded)
    _read_past_idle_reshapes(graph, shapes)
    _give_numbers_axes(graph, shapes)
    ends = [output.name for output in graph.output]
    nodes = _in_order(graph, ends)
    renamed = {graph.input[0].name: INPUT} | dict(zip(ends, (*OUTPUTS, TRUNK), strict=False))
    inner = [name for node in nodes for name in (*node.input, *node.output) if name not in ("", *renamed)]
    renamed |= {name: f"value_{number}" for number, name in enumerate(dict.fromkeys(inner))}
    read = [constant for constant in graph.initializer if constant.name in renamed]
    for number, node in enumerate(nodes):
        node.name = f"{node.op_type}_{number}"
        node.input[:] = [renamed[name] if name else "" for name in node.input]
        node.output[:] = [renamed[name] if name else "" for name in node.output]
    for named in (*read, *graph.input, *graph.output):
        named.name = renamed[named.name]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "films"
    constants = sorted(read, key=lambda constant: constant.name)
    network = onnx.helper.make_graph(nodes, "network", graph.input, graph.output, constants)
    loaded.graph.CopyFrom(network)
    onnx.checker.check_model(loaded, full_check=True)
    return loaded.SerializeToString(deterministic=True)


def _shapes(loaded: Any) -> dict[str, list[int]]:
    """The shapes of the graph's inputs and of what its nodes give each other, by name; 0 for the batch's axis."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(loaded).graph
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info)
    }


def _read_past_idle_reshapes(graph: Any, shapes: Mapping[str, list[int]]) -> None:
    """Nothing reads a reshape that changes nothing; the converter leaves some in one run and not in another."""
    import onnx

    constants = {constant.name: constant for constant in graph.initializer}
    idle: dict[str, str] = {}  # its output, and what it reads
    for node in graph.node:
        node.input[:] = [idle.get(name, name) for name in node.input]
        if node.op_type == "Reshape" and node.input[1] in constants:
            wanted = onnx.numpy_helper.to_array(constants[node.input[1]]).tolist()
            if wanted[0] == -1 and 0 not in wanted and wanted[1:] == shapes.get(node.input[0], [])[1:]:
                idle[node.output[0]] = node.input[0]


def _give_numbers_axes(graph: Any, shapes: Mapping[str, list[int]]) -> None:
    """Single numbers that a tensor is multiplied with or added to get as many axes as the tensor, each of length 1.

    The values are the same, but ONNX Runtime 1.32 takes fifty times as long where the number has fewer axes and the
    tensor's last one is of length 1, as a gray film's is (0.4 ms in place of 0.008 for 224 x 224 pixels).
    """
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for constant in graph.initializer:
        reading = readers.get(constant.name, [])
        others = {
            len(shapes.get(name, ())) for node in reading for name in node.input if name != constant.name
        }
        if not constant.dims and len(others) == 1 and all(node.op_type in _ELEMENTWISE for node in reading):
            constant.dims.extend([1] * others.pop())


def _in_order(graph: Any, ends: list[str]) -> list[Any]:
    """The nodes, each after those that it reads, in the order in which they are met from the outputs `ends`."""
    maker = {name: node for node in graph.node for name in node.output if name}
    ordered: dict[str, Any] = {}  # by the node's first output

    def visit(name: str) -> None:
        node = maker.get(name)
        if node is not None and node.output[0] not in ordered:
            for read in node.input:
                visit(read)
            ordered[node.output[0]] = node

    for end in ends:
        visit(end)
    return list(ordered.values())


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the notes of Keras and the converter, which speak of their own insides."""
    loggers = [logging.getLogger(name) for name in ("tensorflow", "tf2onnx", "absl")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
