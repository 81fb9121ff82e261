"""Networks of keras.applications, as this project's networks are: one grayscale channel in, one probability out.

Importing this module does not import Keras, so that a name can be checked before it loads.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

_SIGNED = (2.0, -1.0)
# ImageNet's mean and deviation of red, green, blue; and its mean of blue, green, red.
_STANDARD = ([1 / 0.229, 1 / 0.224, 1 / 0.225], [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])
_CENTRED = (255.0, [-103.939, -116.779, -123.68])

APPLICATIONS: dict[str, tuple[float | list[float], float | list[float]]] = {
    "DenseNet121": _STANDARD,
    "MobileNet": _SIGNED,
    "MobileNetV2": _SIGNED,
    "ResNet50": _CENTRED,
    "ResNet50V2": _SIGNED,
    "VGG16": _CENTRED,
    "Xception": _SIGNED,
}
"""The networks that may be named, with the scale and offset that bring [0, 1] to what each was trained on.

They stand for keras.applications' own preprocess_input: channels that are all the same need no other order. Left out
are those that plain Keras does not read back from HDF5, or whose export fails (MobileNetV3, EfficientNet).
"""


def keras_application(size: int, dtype: str, application: str, dropout: float = 0.3) -> "keras.Model":
    """A network of keras.applications without its top, from random weights, under a pooled head like our own.

    size: at least 32, for some 75. The film is repeated to three channels and scaled as the network expects.
    Raises TypeError for a name that is not in APPLICATIONS.
    """
    import keras
    from keras import layers

    if application not in APPLICATIONS:
        raise TypeError(f"application is not among {sorted(APPLICATIONS)}")
    scale, offset = APPLICATIONS[application]
    with _policy(dtype):
        inputs = keras.Input((size, size, 1), name="radiograph")
        x = layers.Concatenate(name="three_channels")([inputs] * 3)
        x = layers.Rescaling(scale, offset, name="as_pretrained")(x)
        body = body_of(application, None, input_tensor=x)
    x = layers.GlobalAveragePooling2D(dtype="float32", name="pooling")(body.output)
    x = layers.Dropout(dropout, dtype="float32", name="dropout")(x)
    outputs = layers.Dense(1, activation="sigmoid", dtype="float32", name="probability")(x)
    return keras.Model(inputs, outputs, name="keras_application")


def body_of(application: str, weights: str | None, **shape: Any) -> "keras.Model":
    """The network without its top; weights: "imagenet" (kept or fetched by Keras), a file, or None for random."""
    import keras

    build: Callable[..., keras.Model] = getattr(keras.applications, application)
    return build(include_top=False, weights=weights, **shape)


@contextmanager
def _policy(dtype: str) -> Iterator[None]:
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
