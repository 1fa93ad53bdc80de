"""The type multivector, its scores and its indexes for SQLAlchemy 2, with any driver."""

from .index import colbert_index
from .multivector import MULTIVECTOR

__all__ = ["MULTIVECTOR", "colbert_index"]
