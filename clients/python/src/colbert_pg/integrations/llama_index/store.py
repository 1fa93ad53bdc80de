"""A vector store of LlamaIndex that searches by the text of a query."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)

from ...collection import AsyncCollection, Collection
from ...collection.operations import Operation
from .operations import NodeOperations

T = TypeVar("T")


class ColbertVectorStore(BasePydanticVectorStore):
    """Nodes in a collection, which has an encoder: embeddings of LlamaIndex are not used.

    collection, async_collection: at least one. Without the second, asynchronous methods run the
    first in a thread.
    metadata_mode: what of a node is encoded. EMBED is the text with the metadata that is not
    excluded, as embedding models of LlamaIndex get it; NONE the text alone.
    """

    stores_text: bool = True
    is_embedding_query: bool = False
    metadata_mode: MetadataMode = MetadataMode.EMBED
    _collection: Collection | None = PrivateAttr(default=None)
    _async_collection: AsyncCollection | None = PrivateAttr(default=None)

    def __init__(
        self,
        collection: Collection | None = None,
        *,
        async_collection: AsyncCollection | None = None,
        metadata_mode: MetadataMode = MetadataMode.EMBED,
    ) -> None:
        if collection is None and async_collection is None:
            raise ValueError("expected a collection or an async_collection")
        super().__init__(metadata_mode=metadata_mode)
        self._collection, self._async_collection = collection, async_collection

    @classmethod
    def class_name(cls) -> str:
        return "ColbertVectorStore"

    @property
    def client(self) -> Any:
        """The collection."""
        return self._collection or self._async_collection

    def add(self, nodes: Sequence[BaseNode], **_kwargs: Any) -> list[str]:
        """Encode nodes and write them, in place of those that have the ids."""
        return self._run(lambda do: do.add(nodes))

    async def async_add(self, nodes: Sequence[BaseNode], **_kwargs: Any) -> list[str]:
        """Do what add does."""
        return await self._arun(lambda do: do.add(nodes))

    def delete(self, ref_doc_id: str, **_kwargs: Any) -> None:
        """Delete the nodes of a document."""
        self._run(lambda do: do.delete(ref_doc_id))

    async def adelete(self, ref_doc_id: str, **_kwargs: Any) -> None:
        """Do what delete does."""
        await self._arun(lambda do: do.delete(ref_doc_id))

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **_kwargs: Any,
    ) -> None:
        """Delete nodes that have one of the ids and pass the filters."""
        self._run(lambda do: do.delete_nodes(node_ids, filters))

    async def adelete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **_kwargs: Any,
    ) -> None:
        """Do what delete_nodes does."""
        await self._arun(lambda do: do.delete_nodes(node_ids, filters))

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """Return nodes that have one of the ids and pass the filters, in the order of the ids."""
        return self._run(lambda do: do.get(node_ids, filters))

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """Do what get_nodes does."""
        return await self._arun(lambda do: do.get(node_ids, filters))

    def clear(self) -> None:
        """Delete all nodes."""
        self._run(lambda do: do.clear())

    async def aclear(self) -> None:
        """Do what clear does."""
        await self._arun(lambda do: do.clear())

    def query(self, query: VectorStoreQuery, **_kwargs: Any) -> VectorStoreQueryResult:
        """Search by query_str, with filters, node_ids and doc_ids.

        mode: DEFAULT, or with a collection that has full_text also TEXT_SEARCH, and HYBRID, of
        which alpha is the weight of MaxSim, sparse_top_k the candidates per side, and hybrid_top_k
        the number of results, if it is not similarity_top_k.
        """
        return self._run(lambda do: do.query(query))

    async def aquery(self, query: VectorStoreQuery, **_kwargs: Any) -> VectorStoreQueryResult:
        """Do what query does."""
        return await self._arun(lambda do: do.query(query))

    def _run(self, operation: Callable[[NodeOperations], Operation[T]]) -> T:
        collection = self._collection
        if collection is None:
            raise ValueError(
                "the store has an async_collection alone: await aquery, async_add, ..."
            )
        return collection._run(operation(NodeOperations(collection._do, self.metadata_mode)))

    async def _arun(self, operation: Callable[[NodeOperations], Operation[T]]) -> T:
        collection = self._async_collection
        if collection is None:
            return await asyncio.to_thread(self._run, operation)
        return await collection._run(operation(NodeOperations(collection._do, self.metadata_mode)))
