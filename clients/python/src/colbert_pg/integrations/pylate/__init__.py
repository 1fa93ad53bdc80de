"""An index for PyLate, whose retrievers search it as they search PLAID."""

from .index import ColbertIndex

__all__ = ["ColbertIndex"]
