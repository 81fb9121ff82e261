"""Synthetic frontal chest radiographs of children ("phantoms") with a known place of disease. No TensorFlow.

A phantom is a sum of layers in units of optical density (0 is air, about 0.65 is soft tissue, 0.9 is bone
over soft tissue), shown through a film's exposure. What the two classes share (anatomy, pose, exposure,
sharpness, grain, marker, collimation) is drawn from streams of random numbers that never see the class, so
that `make_phantom(seed, "normal")` and `make_phantom(seed, "bacterial")` are one film without and with an
opacity.

Anatomy is drawn in the unit frame: x from 0 (left edge of the film, the patient's right) to 1, y from 0 (top)
to 1. All sizes are fractions of the frame's side.

Phantoms are schematic. They test software and show where a heat map ought to light up; a figure measured on
them says nothing about patients.
"""

from cxr.phantom.base import MIN_SIZE, OpacitySubtype, Subtype
from cxr.phantom.make import (
    JPEG_COMMENT,
    JPEG_QUALITY,
    MIN_PHANTOMS,
    Phantom,
    PhantomRecord,
    make_phantom,
    phantom_jpeg,
    phantom_split,
    write_phantoms,
)
from cxr.phantom.opacity import add_opacity

__all__ = [
    "JPEG_COMMENT",
    "JPEG_QUALITY",
    "MIN_PHANTOMS",
    "MIN_SIZE",
    "OpacitySubtype",
    "Phantom",
    "PhantomRecord",
    "Subtype",
    "add_opacity",
    "make_phantom",
    "phantom_jpeg",
    "phantom_split",
    "write_phantoms",
]
