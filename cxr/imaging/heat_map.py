"""The heat map over its film, in one picture. No network, no words.

The heat map colours evidence for PNEUMONIA only. Its scale is the film's own peak, but never less than FAINT
calibrated log-odds: on a film with next to no evidence, next to nothing lights up.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr.imaging.decode import GrayImage
from cxr.types import EvidenceMap

LONGEST_SIDE = 1536
"""No picture has more pixels than this on its longer side; larger films are shown reduced."""
OPACITY = 0.6
"""How strongly the heat map covers the film unless told otherwise, 0 to 1."""
FAINT = 2.0
"""Log-odds of evidence at one place below which a peak does not get the full colour."""
_CUT = 0.06  # weaker evidence than this share of the scale stays clear

_ANCHORS = (  # of "magma" (Smith and van der Walt 2015), dark and white ends left out: they vanish on a film
    (90, 22, 126),
    (129, 37, 129),
    (170, 51, 125),
    (211, 67, 110),
    (241, 96, 93),
    (253, 149, 103),
    (254, 197, 137),
    (253, 231, 169),
)


def _table() -> NDArray[np.uint8]:
    """RGB (256, 3) from weak to strong; lightness rises all the way."""
    at = np.linspace(0, len(_ANCHORS) - 1, 256)
    anchors = np.array(_ANCHORS, float)
    channels = [np.interp(at, range(len(_ANCHORS)), anchors[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


HEAT_COLOURS = _table()


def heat_layer(evidence: EvidenceMap, temperature: float = 1.0) -> NDArray[np.uint8]:
    """RGBA (height, width, 4): colour and alpha by evidence for PNEUMONIA; evidence against it is clear.

    `temperature` is the decision's: evidence / temperature is in calibrated log-odds.
    """
    scale = max(float(evidence.max()), FAINT * temperature)
    strength = np.clip(evidence / scale, 0, 1)
    colours = HEAT_COLOURS[np.round(strength * 255).astype(np.uint8)]
    alpha = np.clip((strength - _CUT) / (1 - _CUT), 0, 1) ** 0.6
    return np.dstack([colours, np.round(alpha * 255).astype(np.uint8)])


def overlay(
    film: GrayImage, evidence: EvidenceMap, temperature: float = 1.0, opacity: float = OPACITY
) -> Image.Image:
    """Film and heat map in one RGB image, at most LONGEST_SIDE pixels long."""
    shown = np.asarray(fitted(film.to_8bit(), LONGEST_SIDE))
    heat = heat_layer(np.asarray(fitted(evidence, LONGEST_SIDE)), temperature)
    alpha = heat[..., 3:].astype(np.float32) / 255 * opacity
    blended = shown[..., None] * (1 - alpha) + heat[..., :3] * alpha
    return Image.fromarray(np.round(blended).astype(np.uint8))


def fitted(values: NDArray[np.uint8] | EvidenceMap, longest: int) -> Image.Image:
    """Pixels as an image, reduced where a side is longer than `longest`."""
    image = Image.fromarray(values)
    reduction = longest / max(image.size)
    if reduction >= 1:
        return image
    width, height = (max(1, round(side * reduction)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX)
