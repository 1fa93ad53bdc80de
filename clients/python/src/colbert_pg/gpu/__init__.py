"""Training of centroids and exhaustive search, by numpy or by torch, on a CPU or on GPUs."""

from .devices import make_device
from .exact import write_exact
from .flat import TOLERANCE, FlatMaxSim, Hit
from .kmeans import Centroids
from .sample import Sample, sample_tokens
from .train import Trained, train

__all__ = [
    "TOLERANCE",
    "Centroids",
    "FlatMaxSim",
    "Hit",
    "Sample",
    "Trained",
    "make_device",
    "sample_tokens",
    "train",
    "write_exact",
]
