"""Training of centroids, by numpy or by torch, on a CPU or on GPUs."""

from .devices import make_device
from .kmeans import Centroids
from .sample import Sample, sample_tokens
from .train import Trained, train

__all__ = [
    "Centroids",
    "Sample",
    "Trained",
    "make_device",
    "sample_tokens",
    "train",
]
