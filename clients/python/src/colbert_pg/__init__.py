"""Late-interaction (ColBERT, MaxSim) search in PostgreSQL, from Python."""

from .multivector import Element, MultiVector

__all__ = ["Element", "MultiVector"]
