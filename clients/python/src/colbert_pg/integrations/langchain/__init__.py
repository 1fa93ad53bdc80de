"""A vector store and a retriever for LangChain."""

from .retriever import ColbertRetriever
from .store import ColbertVectorStore

__all__ = ["ColbertRetriever", "ColbertVectorStore"]
