"""The operations of the vector store, as steps that a connection of either kind runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.schema import BaseNode, MetadataMode, TextNode
from llama_index.core.vector_stores.types import (
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from ...collection import Record
from ...collection.operations import BATCH, Operation, Operations
from ...collection.operations import _call as call
from ...collection.records import Mode, ranking_of
from .._filters import Expression, is_constant, where
from . import filters

_MODES: dict[VectorStoreQueryMode, Mode] = {
    VectorStoreQueryMode.DEFAULT: "maxsim",
    VectorStoreQueryMode.TEXT_SEARCH: "text",
    VectorStoreQueryMode.HYBRID: "hybrid",
}


class NodeOperations:
    """The operations of a vector store on a collection."""

    def __init__(self, collection: Operations, metadata_mode: MetadataMode) -> None:
        self._do, self._mode = collection, metadata_mode

    def add(self, nodes: Sequence[BaseNode]) -> Operation[list[str]]:
        """Encode nodes and write them, in place of those that have the ids."""
        ids = [node.node_id for node in nodes]
        if not nodes:
            return ids
        encoder = self._do.encoder
        if encoder is None:
            raise ValueError("expected a collection with an encoder")
        texts = [node.get_content(metadata_mode=self._mode) for node in nodes]
        docs = yield from call(lambda: encoder.encode_document(texts))
        yield from self._do.add(
            [node.get_content(metadata_mode=MetadataMode.NONE) for node in nodes],
            ids=ids,
            metadata=[node_to_metadata_dict(node, remove_text=True) for node in nodes],
            docs=docs,
            on_conflict="replace",
            batch_size=BATCH,
            progress=False,
        )
        return ids

    def get(
        self, node_ids: list[str] | None, metadata_filters: MetadataFilters | None
    ) -> Operation[list[BaseNode]]:
        """Return nodes in the order of their ids, or of node_ids. An empty list returns none."""
        if node_ids == []:
            return []
        records = yield from self._do.filter(
            *self._where(filters.of_nodes(node_ids, metadata_filters)), None
        )
        if node_ids:
            place = {key: number for number, key in enumerate(node_ids)}
            records.sort(key=lambda record: place[record.id])
        return [to_node(record) for record in records]

    def delete(self, ref_doc_id: str) -> Operation[int]:
        return self._do.delete(None, *self._where(filters.of_document(ref_doc_id)))

    def delete_nodes(
        self, node_ids: list[str] | None, metadata_filters: MetadataFilters | None
    ) -> Operation[int]:
        """Delete nodes. Without ids and conditions, or with an empty list of ids, delete none."""
        condition = filters.of_nodes(node_ids, metadata_filters)
        if node_ids == [] or is_constant(condition):
            return 0
        return (yield from self._do.delete(None, *self._where(condition)))

    def clear(self) -> Operation[int]:
        return self._do.delete(None, *self._where(filters.of_nodes(None, None)))

    def query(self, query: VectorStoreQuery) -> Operation[VectorStoreQueryResult]:
        mode = _MODES.get(query.mode)
        if mode is None:
            expected = ", ".join(known.value for known in _MODES)
            raise ValueError(f"expected query mode {expected}, not {query.mode.value}")
        if not query.query_str:
            raise ValueError("expected query_str: an embedding of one vector cannot be searched")
        limit = query.hybrid_top_k if mode == "hybrid" else None
        hits = yield from self._do.search(
            query.query_str,
            query.similarity_top_k if limit is None else limit,
            *self._where(filters.of_query(query)),
            doc=False,
            rerank=None,
            candidates=None,
            ranking=ranking_of(mode, query.alpha, query.sparse_top_k),
        )
        return VectorStoreQueryResult(
            nodes=[to_node(hit) for hit in hits],
            similarities=[hit.score for hit in hits],
            ids=[hit.id for hit in hits],
        )

    def _where(self, expression: Expression) -> tuple[Any, list[Any]]:
        return where(expression, self._do.statements.columns)


def to_node(record: Record) -> BaseNode:
    """Return the node of a row. A row that LlamaIndex did not write becomes a TextNode."""
    if "_node_content" in record.metadata:
        return metadata_dict_to_node(record.metadata, text=record.text)
    return TextNode(id_=record.id, text=record.text, metadata=record.metadata)
