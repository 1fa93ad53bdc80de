"""Read token embeddings that other systems have exported."""

from .arrays import read_plaid, split_tokens
from .qdrant import qdrant_points
from .vespa import vespa_documents, vespa_tensor

__all__ = ["qdrant_points", "read_plaid", "split_tokens", "vespa_documents", "vespa_tensor"]
