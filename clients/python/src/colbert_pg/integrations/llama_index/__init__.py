"""A vector store and a retriever for LlamaIndex."""

from .retriever import ColbertRetriever
from .store import ColbertVectorStore

__all__ = ["ColbertRetriever", "ColbertVectorStore"]
