"""Keras -> ONNX, checked equal."""
