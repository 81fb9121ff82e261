"""Labelled radiographs -> split -> network -> bundle -> Hub."""

import os

# Before anything imports TensorFlow, which reads it once. oneDNN's kernels train in about five sixths of the time
# also on processors on which TensorFlow leaves them out (those without AVX-512).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
