"""A search backend for mteb's SearchEncoderWrapper, by its IndexEncoderSearchProtocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..._names import Table
from ...multivector import Element
from .._vectors import Connection, Method, Vectors, each

_BATCH = 2000


class ColbertBackend:
    """Search embeddings of (tokens, dims) in a table, which add_documents creates.

    conn: a connection of psycopg, or a pool. table: is dropped now and by clear.
    element: of the column, float4, float2 or int8.
    method: colbert_hnsw or colbert_ivf, and options those of the index, such as quantizer="bit".
    With None there is no index, and every search is exact.
    """

    def __init__(
        self,
        conn: Connection,
        table: Table = "mteb",
        *,
        element: Element = "float2",
        method: Method | None = "colbert_hnsw",
        **options: Any,
    ) -> None:
        self._vectors = Vectors(conn, table, element=element, method=method, options=options)
        self._ids: dict[str, None] = {}  # in order
        self.clear()

    def add_documents(self, embeddings: Any, idxs: Sequence[str]) -> None:
        """Add documents. idxs: their ids, which no document before has."""
        ids = [str(key) for key in idxs]
        if len({*ids, *self._ids}) < len(ids) + len(self._ids):
            raise ValueError("expected ids that differ from each other and from those before")
        self._vectors.add(ids, each(embeddings), _BATCH)
        self._ids.update(dict.fromkeys(ids))

    def search(
        self,
        embeddings: Any,
        top_k: int,
        similarity_fn: Any = None,  # noqa: ARG002 (the score is maxsim)
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        query_idx_to_id: Mapping[int, str] | None = None,
    ) -> tuple[list[list[float]], list[list[int]]]:
        """Return scores and places of the best documents for each query, the best first.

        A place is that among all documents; with top_ranked, among those of the query.
        similarity_fn is not called: scores are those of maxsim.
        """
        ranked = None if top_ranked is None else _ranked(embeddings, top_ranked, query_idx_to_id)
        found = self.scores(embeddings, top_k, ranked)
        all_places = _places(self._ids)
        values, places = [], []
        for number, scores in enumerate(found):
            at = all_places if ranked is None else _places(ranked[number])
            values.append([score for _, score in scores])
            places.append([at[key] for key, _ in scores])
        return values, places

    def scores(
        self, embeddings: Any, top_k: int, ranked: Sequence[Sequence[str]] | None = None
    ) -> list[list[tuple[str, float]]]:
        """Return ids and scores of the best documents for each query, the best first.

        ranked: the ids among which each query is searched.
        """
        queries = each(embeddings)
        among = [None] * len(queries) if ranked is None else ranked
        pairs = zip(queries, among, strict=True)
        return [self._vectors.search(query, top_k, ids) for query, ids in pairs]

    def clear(self) -> None:
        """Drop the table."""
        self._vectors.drop()
        self._ids = {}


def _places(ids: Iterable[str]) -> dict[str, int]:
    return {key: place for place, key in enumerate(ids)}


def _ranked(
    embeddings: Any,
    top_ranked: Mapping[str, Sequence[str]],
    query_idx_to_id: Mapping[int, str] | None,
) -> list[list[str]]:
    """Return the ids among which each query is searched."""
    if query_idx_to_id is None:
        raise ValueError("expected query_idx_to_id with top_ranked")
    ids = [query_idx_to_id[number] for number in range(len(each(embeddings)))]
    return [[str(key) for key in top_ranked.get(query, ())] for query in ids]
