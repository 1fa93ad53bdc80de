"""A retriever of LlamaIndex that needs neither an index of LlamaIndex nor an embedding model."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.constants import DEFAULT_SIMILARITY_TOP_K
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import (
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from .store import ColbertVectorStore


class ColbertRetriever(BaseRetriever):
    """Return the best nodes of a store for a query.

    similarity_top_k: how many. vector_store_query_mode: DEFAULT, TEXT_SEARCH or HYBRID. alpha: the
    weight of MaxSim in HYBRID. filters, doc_ids, node_ids: those among which it searches.
    options: those of BaseRetriever, such as callback_manager.
    """

    def __init__(
        self,
        store: ColbertVectorStore,
        *,
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        vector_store_query_mode: VectorStoreQueryMode = VectorStoreQueryMode.DEFAULT,
        alpha: float | None = None,
        filters: MetadataFilters | None = None,
        doc_ids: list[str] | None = None,
        node_ids: list[str] | None = None,
        **options: Any,
    ) -> None:
        self._store = store
        self._similarity_top_k = similarity_top_k
        self._mode, self._alpha = VectorStoreQueryMode(vector_store_query_mode), alpha
        self._filters, self._doc_ids, self._node_ids = filters, doc_ids, node_ids
        super().__init__(**options)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _with_scores(self._store.query(self._query(query_bundle)))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _with_scores(await self._store.aquery(self._query(query_bundle)))

    def _query(self, query_bundle: QueryBundle) -> VectorStoreQuery:
        return VectorStoreQuery(
            query_str=query_bundle.query_str,
            similarity_top_k=self._similarity_top_k,
            mode=self._mode,
            alpha=self._alpha,
            filters=self._filters,
            doc_ids=self._doc_ids,
            node_ids=self._node_ids,
        )


def _with_scores(result: VectorStoreQueryResult) -> list[NodeWithScore]:
    pairs = zip(result.nodes or [], result.similarities or [], strict=True)
    return [NodeWithScore(node=node, score=score) for node, score in pairs]
