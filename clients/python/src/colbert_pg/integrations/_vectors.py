"""A table of multivectors without texts, for libraries that keep the texts themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import psycopg
from psycopg import sql

from .._cursors import cursor_of
from .._names import Table, escaped, identifier, quoted
from ..collection import Collection, Columns
from ..multivector import Element, MultiVector

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

Method: TypeAlias = Literal["colbert_hnsw", "colbert_ivf"]
Connection: TypeAlias = "psycopg.Connection[Any] | ConnectionPool[Any]"
Scored: TypeAlias = tuple[str, float]

_DOCS = sql.SQL("SELECT id, doc FROM {} WHERE id = ANY (%s)")
_INDEX = sql.SQL("""
    SELECT FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am a ON a.oid = c.relam
    WHERE i.indrelid = pg_catalog.to_regclass(%s) AND i.indisvalid
        AND a.amname IN ('colbert_hnsw', 'colbert_ivf')
""")


class Vectors:
    """Multivectors by their ids, in the table of a Collection whose texts are empty.

    method: that of an index, created once the first documents are there; None for none.
    """

    def __init__(
        self,
        conn: Connection,
        table: Table,
        *,
        element: Element,
        method: Method | None,
        options: Mapping[str, Any],
    ) -> None:
        self._conn, self._method, self._options = conn, method, options
        self._table = identifier(table)
        self._collection = Collection(conn, table, columns=Columns(metadata=None), element=element)

    def add(self, ids: Sequence[str], docs: Sequence[Any], batch_size: int) -> None:
        """Add documents, or replace those that have the ids."""
        if len(ids) != len(docs):
            raise ValueError(f"expected an embedding per id, not {len(docs)} for {len(ids)} ids")
        if batch_size < 1:
            raise ValueError(f"expected batch_size of at least 1, not {batch_size}")
        for start in range(0, len(ids), batch_size):
            part = [as_multivector(doc) for doc in docs[start : start + batch_size]]
            if start == 0:
                self._collection.create(dims=part[0].shape[1])
            self._collection.add(
                [""] * len(part),
                ids=ids[start : start + batch_size],
                docs=part,
                on_conflict="replace",
            )
        if ids and self._method and not self._has_index():
            self._collection.index(self._method, **self._options)

    def remove(self, ids: Sequence[str]) -> None:
        self._collection.delete(ids)

    def search(self, query: Any, k: int, ids: Sequence[str] | None = None) -> list[Scored]:
        """Return ids and scores of the best documents. ids: those among which it searches."""
        where, params = (None, []) if ids is None else (sql.SQL("id = ANY (%s)"), [list(ids)])
        hits = self._collection.search(as_multivector(query), k, where=where, params=params)
        return [(hit.id, hit.score) for hit in hits]

    def docs(self, ids: Sequence[str]) -> dict[str, MultiVector]:
        """Return the multivectors of ids."""
        return dict(self._execute(_DOCS.format(escaped(self._table)), (list(ids),)))

    def drop(self) -> None:
        self._collection.drop()

    def _has_index(self) -> bool:
        return bool(self._execute(_INDEX, (quoted(self._table),)))

    def _execute(self, statement: sql.SQL | sql.Composed, params: Sequence[Any]) -> list[Any]:
        with self._collection._connection() as conn, conn.transaction():
            return cursor_of(conn, binary=True).execute(statement, params).fetchall()


def as_multivector(tokens: Any) -> MultiVector:
    """Return a multivector without the zero tokens that pad a batch, unless all are zero."""
    vector = MultiVector(tokens)
    numbers = vector.to_numpy()
    kept = numbers.any(axis=1)
    return vector if kept.all() or not kept.any() else MultiVector(numbers[kept])


def each(embeddings: Any) -> list[Any]:
    """Return the embeddings of each text: of one text of shape (tokens, dims), or of several."""
    if isinstance(embeddings, MultiVector):
        return [embeddings]
    if not len(embeddings):
        return []
    return list(embeddings) if _ndim(embeddings[0]) == 2 else [embeddings]


def _ndim(tokens: Any) -> int:
    """Return 2 for the embeddings of a text, and 1 for one token."""
    if isinstance(tokens, MultiVector):
        return 2
    return int(tokens.ndim) if hasattr(tokens, "ndim") else np.ndim(tokens[0]) + 1
