"""A document store and a retriever for Haystack."""

from .retriever import ColbertRetriever
from .store import ColbertDocumentStore

__all__ = ["ColbertDocumentStore", "ColbertRetriever"]
