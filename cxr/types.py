"""Shapes and roles, named once.

GrayPixels   uint8 or uint16 (height, width), 0 is black; the scale's white is 2**bits - 1
ModelPixels  uint8 (size, size): one radiograph after preprocessing; what the trainer caches
InputBatch   float32 (n, size, size, 1) in [0, 1]: what a network reads
Logits       float64 (n,): log-odds of PNEUMONIA before calibration
Features     float32 (n, d): what the network's last layer reads, one row a film
Probabilities float64 (n,) in [0, 1]: P(PNEUMONIA)
EvidenceMap  float32 (height, width): contribution of each place to the logit; above 0 speaks for PNEUMONIA
"""

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

GrayPixels = NDArray[np.uint8] | NDArray[np.uint16]
ModelPixels = NDArray[np.uint8]
InputBatch = NDArray[np.float32]
Logits = NDArray[np.float64]
Features = NDArray[np.float32]
Probabilities = NDArray[np.float64]
EvidenceMap = NDArray[np.float32]
FloatArray = NDArray[np.floating[Any]]

NORMAL: Final = "NORMAL"
PNEUMONIA: Final = "PNEUMONIA"
UNCERTAIN: Final = "UNCERTAIN"
CLASSES = (NORMAL, PNEUMONIA)
"""The class order everywhere: index 1, the positive class, is PNEUMONIA."""

Decision = Literal["NORMAL", "PNEUMONIA", "UNCERTAIN"]
"""What a model says of an image."""

WarningCode = Literal[
    # What decoding had to do.
    "colour",
    "transparency",
    "rotated_by_exif",
    "white_is_zero",
    "first_of_several",
    "dicom_repaired",
    # The image has fewer pixels than the network reads.
    "low_resolution",
    # The input gate: why it refuses, and what it warns of.
    "blank",
    "inverted",
    "rotated",
    "not_frontal_chest",
    "unlike_training",
]
"""What to mind about an image, each by its stable code. Each has its words in both languages (ui)."""
