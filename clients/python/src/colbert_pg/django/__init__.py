"""The extension, the type multivector, its indexes and its scores for Django."""

from .extension import ColbertExtension
from .field import MultiVectorField
from .functions import MaxSim, MaxSimCosine, MaxSimL2
from .indexes import ColbertHnswIndex, ColbertIvfIndex

__all__ = [
    "ColbertExtension",
    "ColbertHnswIndex",
    "ColbertIvfIndex",
    "MaxSim",
    "MaxSimCosine",
    "MaxSimL2",
    "MultiVectorField",
]

# The path by which migrations import them.
for _public in (ColbertExtension, ColbertHnswIndex, ColbertIvfIndex, MultiVectorField):
    _public.__module__ = __name__
