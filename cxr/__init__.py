"""The ground floor: bytes -> image -> model input -> probability -> decision, explanation.

Trainer, evaluation and app all go through this package, so that a published figure is computed by the code
that serves. It imports nothing of ours from above, and TensorFlow only where a network is built.
"""

__version__ = "0.5.0"
"""The version of the code; a bundle has one of its own."""
