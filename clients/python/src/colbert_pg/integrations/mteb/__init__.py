"""Search for mteb: a model for its evaluations, and a backend for its own models."""

from .backend import ColbertBackend
from .search import ColbertSearch

__all__ = ["ColbertBackend", "ColbertSearch"]
