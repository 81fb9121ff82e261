"""ONNX Runtime as the predictor's backend: what serves. Importing this module imports no TensorFlow.

The network comes as one file with a fixed contract (written by `cxr.export.onnx_export`), whose weights may lie
in model.h5:

    input    radiograph  float32 (films, size, size, 1)
    outputs  logits      float32 (films,)
             features    float32 (films, d)
             evidence    float32 (films, height, width)
             trunk       float32 (films, t), of a network whose middle stages the gate reads

It is data, not code: operators of the ONNX standard, none of our own.
"""

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as faults

from cxr.errors import BundleError
from cxr.model.backend import Outputs
from cxr.model.bundle import MODEL_FILE
from cxr.types import EvidenceMap, InputBatch

INPUT = "radiograph"
OUTPUTS = ("logits", "features", "evidence")
TRUNK = "trunk"
_UNFIT = (
    faults.Fail,
    faults.InvalidProtobuf,
    faults.InvalidGraph,
    faults.InvalidArgument,
    faults.NotImplemented,
)
_ERRORS_ONLY = 3


class OnnxBackend:
    """A network in ONNX, safe to call from several threads. One film's answer does not depend on its batch."""

    def __init__(self, content: bytes, weights: bytes | None = None) -> None:
        """Load the network from the file's bytes. Raises BundleError if they do not keep the contract above.

        weights: the bytes of model.h5, for a network that names its weights there (`cxr.export.onnx_weights`). They are
        given, not looked for: ONNX Runtime reads no file.
        """
        options = onnxruntime.SessionOptions()
        # One thread a call: callers then share the cores evenly, and no sum is split between threads.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        held = weights if weights is not None else b""
        options.add_external_initializers_from_files_in_memory([MODEL_FILE], [held], [len(held)])
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except _UNFIT as error:
            raise _unfit(str(error).strip().splitlines()[0][:160]) from error
        self._session = session
        self._trunk = [TRUNK] if TRUNK in {node.name for node in session.get_outputs()} else []
        self.size = _size(session)

    def outputs(self, batch: InputBatch) -> Outputs:
        logits, features, *trunk = self._run([*OUTPUTS[:2], *self._trunk], batch)
        return Outputs(logits.astype(np.float64), features, *trunk)

    def evidence(self, batch: InputBatch) -> tuple[Outputs, EvidenceMap]:
        logits, features, maps, *trunk = self._run([*OUTPUTS, *self._trunk], batch)
        return Outputs(logits.astype(np.float64), features, *trunk), maps

    def _run(self, names: list[str], batch: InputBatch) -> list[NDArray[np.float32]]:
        """These outputs of a batch, film by film: on one thread many at once take no less time, and far more memory."""
        films = range(max(1, len(batch)))  # of no film at all the outputs have their shapes, too
        found = [self._session.run(names, {INPUT: batch[at : at + 1]}) for at in films]
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def _size(session: onnxruntime.InferenceSession) -> int:
    inputs = [(node.name, node.type, node.shape) for node in session.get_inputs()]
    outputs = {node.name: len(node.shape) for node in session.get_outputs()}
    expected = dict(zip(OUTPUTS, (1, 2, 3), strict=True))
    if len(inputs) == 1 and outputs in (expected, expected | {TRUNK: 2}):
        name, kind, shape = inputs[0]
        square = len(shape) == 4 and isinstance(shape[1], int) and shape[1:] == [shape[1], shape[1], 1]
        if name == INPUT and kind == "tensor(float)" and square and isinstance(shape[0], str):
            return int(shape[1])
    raise _unfit(f"it reads {inputs} and gives {list(outputs)}")


def _unfit(reason: str) -> BundleError:
    return BundleError(
        f"The export is not a network in ONNX from {INPUT} to {', '.join(OUTPUTS)}: {reason}. Export the model again."
    )
