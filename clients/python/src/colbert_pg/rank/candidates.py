"""The candidates of a question: the best rows by MaxSim, and the best by full text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
from psycopg import sql

from .._cursors import cursor_of
from .._names import Table, escaped, identifier, quoted, statistics_of
from .._progress import Progress, shown
from .._snapshot import in_one_snapshot
from ..encoders.protocol import QueryEncoder
from ..evaluate import Qrels

Values: TypeAlias = Mapping[str, tuple[Any, ...]]
"""Values of the candidates of a query, by id."""

Expression: TypeAlias = str | sql.Composable
"""SQL over the columns of the table, with named parameters."""
PARAMETERS = ("doc", "words", "text", "limit")
"""The parameters of each question, which expressions may have."""

# The candidates of doc/ranking.md. Both sides leave out rows that one of them cannot score. No part
# has a name, so a name in an expression cannot mean one of them. The order is the same in each run.
_CANDIDATES = sql.SQL("""
    SELECT {id}::text, {values} FROM {table} WHERE {id} IN (
        (SELECT {id} FROM {table} WHERE {tsv} IS NOT NULL AND {doc} IS NOT NULL{where}
         ORDER BY {doc} <#> multivector(%(doc)s) LIMIT %(limit)s) UNION
        (SELECT {id} FROM {table}
         WHERE {tsv} @@ bm25_candidates(%(words)s::bm25_query) AND {doc} IS NOT NULL{where}
         ORDER BY bm25f({tsv}, %(words)s::bm25_query) DESC LIMIT %(limit)s))
    ORDER BY 1
""")
_NOTHING = sql.SQL("")
_WORDS = "SELECT bm25_query(%s::regclass, %s::text)::text"


@dataclass(frozen=True)
class Columns:
    """The names of the columns."""

    id: str = "id"
    doc: str = "doc"
    tsv: str = "tsv"


def composed(expression: Expression) -> sql.Composable:
    """Return an expression of SQL, whose strings are the caller's own, as a part of a statement."""
    inside = sql.SQL(expression) if isinstance(expression, str) else expression
    return sql.SQL("({}\n)").format(inside)  # the line end closes a comment


class Candidates:
    """The candidates of the judged queries.

    values: the expressions to select, with {doc}, {tsv}, {features} and the parameters PARAMETERS.
    statistics: the table that bm25_analyze made; by default TABLE_COLUMN_bm25.
    where: a condition for the candidates. params: values for its parameters and for those of
    features, by name.
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
        where: Expression | None,
        params: Mapping[str, Any],
        features: sql.Composable = _NOTHING,
    ) -> None:
        if per_side < 1:
            raise ValueError(f"expected at least one candidate per side, not {per_side}")
        if taken := [name for name in PARAMETERS if name in params]:
            raise ValueError(f"expected other names of parameters than {taken[0]!r}")
        name = identifier(table)
        fields = {field: escaped(sql.Identifier(column)) for field, column in vars(columns).items()}
        self._conn = conn
        self._per_side = per_side
        self._params = params
        self._statistics = quoted(
            statistics_of(name, columns.tsv) if statistics is None else identifier(statistics)
        )
        self._statement = _CANDIDATES.format(
            table=escaped(name),
            values=sql.SQL(values).format(features=features, **fields),
            where=_NOTHING if where is None else sql.SQL(" AND {}").format(composed(where)),
            **fields,
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
        with cursor_of(self._conn, binary=True) as cursor:
            [(words,)] = cursor.execute(_WORDS, (self._statistics, text)).fetchall()
            of_query = {"doc": doc, "words": words, "text": text, "limit": self._per_side}
            rows = cursor.execute(self._statement, {**self._params, **of_query}).fetchall()
        found = {key: tuple(values) for key, *values in rows}
        if len(found) < len(rows) or None in found:
            raise ValueError("expected ids that are unique, and not NULL")
        return found
