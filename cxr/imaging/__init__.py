"""Bytes -> one grayscale radiograph -> model input. No TensorFlow."""
