"""The candidates of a question: the best rows by MaxSim, and the best by full text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from .._names import Table, escaped, identifier, quoted, statistics_of
from .._progress import Progress, shown
from .._snapshot import in_one_snapshot
from ..encoders.protocol import QueryEncoder
from ..evaluate import Qrels

Values: TypeAlias = Mapping[str, tuple[Any, ...]]
"""Values of the candidates of a query, by id."""

# The statement of doc/ranking.md. Both sides leave out rows that one of them cannot score.
_CANDIDATES = sql.SQL("""
    WITH c AS ((SELECT {id} FROM {table} WHERE {tsv} IS NOT NULL AND {doc} IS NOT NULL
                ORDER BY {doc} <#> multivector(%(doc)s) LIMIT %(limit)s) UNION
               (SELECT {id} FROM {table}
                WHERE {tsv} @@ bm25_candidates(%(words)s::bm25_query) AND {doc} IS NOT NULL
                ORDER BY bm25f({tsv}, %(words)s::bm25_query) DESC LIMIT %(limit)s))
    SELECT {id}::text, {values} FROM c JOIN {table} USING ({id})
""")
_WORDS = "SELECT bm25_query(%s::regclass, %s::text)::text"


@dataclass(frozen=True)
class Columns:
    """The names of the columns."""

    id: str = "id"
    doc: str = "doc"
    tsv: str = "tsv"


class Candidates:
    """The candidates of the judged queries.

    values: expressions of SQL with {doc} and {tsv}, and the parameters doc and words.
    statistics: the table that bm25_analyze made; by default TABLE_COLUMN_bm25.
    """

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        table: Table,
        values: str,
        *,
        columns: Columns,
        statistics: Table | None,
        per_side: int,
    ) -> None:
        if per_side < 1:
            raise ValueError(f"expected at least one candidate per side, not {per_side}")
        name = identifier(table)
        fields = {field: escaped(sql.Identifier(column)) for field, column in vars(columns).items()}
        self._conn = conn
        self._per_side = per_side
        self._statistics = quoted(
            statistics_of(name, columns.tsv) if statistics is None else identifier(statistics)
        )
        self._statement = _CANDIDATES.format(
            table=escaped(name), values=sql.SQL(values).format(**fields), **fields
        )

    def of(
        self,
        queries: Mapping[str, str],
        qrels: Qrels,
        encoder: QueryEncoder,
        progress: Progress = False,
    ) -> dict[str, Values]:
        """Return the candidates of each judged query, by its id. All are of one snapshot."""
        judged = {query: text for query, text in queries.items() if qrels.get(query)}
        if not judged:
            raise ValueError(f"none of the {len(queries)} queries has judgements")
        docs = encoder.encode_query(list(judged.values()))
        with in_one_snapshot(self._conn), shown(progress, len(judged), " queries") as show:
            found = {}
            for number, (query, doc) in enumerate(zip(judged, docs, strict=True), 1):
                found[query] = self._found(judged[query], doc.to_binary())
                show(number)
        return found

    def _found(self, text: str, doc: bytes) -> Values:
        # binary: a real keeps its value whatever extra_float_digits is
        with self._conn.cursor(binary=True, row_factory=tuple_row) as cursor:
            [(words,)] = cursor.execute(_WORDS, (self._statistics, text)).fetchall()
            parameters = {"doc": doc, "words": words, "limit": self._per_side}
            rows = cursor.execute(self._statement, parameters).fetchall()
        found = {key: tuple(values) for key, *values in rows}
        if len(found) < len(rows) or None in found:
            raise ValueError("expected ids that are unique, and not NULL")
        return found
