"""An index with the interface of pylate.indexes.Base. PyLate itself is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from ..._names import Table
from ...multivector import Element, Floats
from .._vectors import Connection, Method, Vectors, each


class Result(TypedDict):
    """A document that was found, as PyLate's RerankResult has it."""

    id: str
    score: float


class ColbertIndex:
    """An index of PyLate in a table, which the first documents create.

    conn: a connection of psycopg, or a pool. override: drop a table that exists.
    element: of the column, float4, float2 or int8.
    method: colbert_hnsw or colbert_ivf, and options those of the index, such as quantizer="bit".
    With None there is no index, and every search is exact.

    Ids are texts: a document added as 1 is found as "1".
    """

    is_end_to_end_index = True

    def __init__(
        self,
        conn: Connection,
        table: Table = "colbert_collection",
        override: bool = False,
        *,
        element: Element = "float2",
        method: Method | None = "colbert_hnsw",
        **options: Any,
    ) -> None:
        self._vectors = Vectors(conn, table, element=element, method=method, options=options)
        if override:
            self._vectors.drop()

    def add_documents(
        self,
        documents_ids: str | Sequence[Any],
        documents_embeddings: Any,
        batch_size: int = 2000,
    ) -> ColbertIndex:
        """Add documents, or replace those that have the ids. batch_size: per transaction."""
        self._vectors.add(_ids(documents_ids), each(documents_embeddings), batch_size)
        return self

    def remove_documents(self, documents_ids: str | Sequence[Any]) -> ColbertIndex:
        """Remove documents. Unknown ids are left out."""
        self._vectors.remove(_ids(documents_ids))
        return self

    def __call__(
        self,
        queries_embeddings: Any,
        k: int = 10,
        subset: Sequence[Sequence[str]] | Sequence[str] | None = None,
    ) -> list[list[Result]]:
        """Return the k best documents for each query.

        subset: ids that are searched, or a list of them for each query.
        """
        queries = each(queries_embeddings)
        found = zip(queries, _subsets(subset, len(queries)), strict=True)
        return [
            [Result(id=key, score=score) for key, score in self._vectors.search(query, k, ids)]
            for query, ids in found
        ]

    def get_documents_embeddings(
        self, documents_ids: Sequence[Sequence[str]]
    ) -> list[list[Floats]]:
        """Return the embeddings of lists of ids, as arrays of (tokens, dims)."""
        groups = [_ids(group) for group in documents_ids]
        docs = self._vectors.docs([key for group in groups for key in group])
        return [[docs[key].to_numpy() for key in group] for group in groups]


def _ids(ids: str | Sequence[Any]) -> list[str]:
    return [ids] if isinstance(ids, str) else [str(key) for key in ids]


def _subsets(
    subset: Sequence[Sequence[str]] | Sequence[str] | None, queries: int
) -> list[list[str] | None]:
    """Return the ids that each query searches."""
    if subset is None:
        return [None] * queries
    if all(isinstance(key, (str, int)) for key in subset):
        return [_ids(subset)] * queries
    if len(subset) != queries:
        raise ValueError(f"expected a subset per query, not {len(subset)} for {queries} queries")
    return [_ids(ids) for ids in subset]
