"""Recall of an index: its answers beside the exact ones of the same statement."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import psycopg
from psycopg import sql

from .._cursors import cursor_of
from .._names import Table, escaped, identifier
from .._snapshot import in_one_snapshot
from ..multivector import MultiVector

if TYPE_CHECKING:
    from ..gpu import Hit

Similarity: TypeAlias = Literal["maxsim", "maxsim_cosine", "maxsim_l2"]

# The costs of disabled plans would start JIT, which takes longer than a search.
_WITH_INDEX = {
    "enable_indexscan": "on",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "jit": "off",
}
_EXACT = {"enable_indexscan": "off", "enable_seqscan": "on", "enable_sort": "on", "jit": "off"}
_ROUNDING = 1e-5  # share by which a score may fall short of a given one, as in colbert_tune


@dataclass(frozen=True)
class IndexRecall:
    """How many of the exact answers an index returns, and how long a search takes."""

    k: int
    recall: float
    """The mean over all queries."""
    per_query: Sequence[float]
    index_ms: float
    """The mean time of a search with the index, the way of the query and the result included."""
    exact_ms: float | None
    """The mean time of an exact search; None if the exact answers were given."""

    def __str__(self) -> str:
        exact = "" if self.exact_ms is None else f", {self.exact_ms:.1f} ms exact"
        return (
            f"recall@{self.k} {self.recall:.4f} over {len(self.per_query)} queries "
            f"({self.index_ms:.1f} ms by index{exact})"
        )


@dataclass(frozen=True)
class _Answers:
    """The scores of the best rows for each query, the best first."""

    scores: list[list[float]]
    ms: float


def index_recall(
    conn: psycopg.Connection[Any],
    table: Table,
    column: str,
    queries: Iterable[Any],
    k: int = 10,
    *,
    similarity: Similarity = "maxsim",
    where: str | sql.Composable | None = None,
    params: Sequence[Any] = (),
    exact: Sequence[Sequence[Hit]] | None = None,
) -> IndexRecall:
    """Measure the index of a column against exact scores of the same rows.

    queries: multivectors, or arrays of (tokens, dims). where: a condition in SQL, with %s for each
    of params. The statement runs with the index and then without it, in a transaction that changes
    nothing and leaves no settings. A row counts as found if its score reaches the k-th exact one.
    exact: the answers of FlatMaxSim to the queries, which save the search without the index; a
    score may fall short of theirs by rounding. Not with where, whose rows FlatMaxSim does not know,
    nor with maxsim_l2, whose small distances it rounds too much to tell near copies apart.
    """
    values = [MultiVector(query) for query in queries]
    if not values or k < 1:
        raise ValueError(f"expected at least one query and a k of at least 1, not k = {k}")
    if similarity not in get_args(Similarity):
        raise ValueError(f"expected {', '.join(get_args(Similarity))}, not {similarity!r}")
    if exact is not None and (where is not None or similarity == "maxsim_l2"):
        raise ValueError("expected exact answers without a condition, and not by maxsim_l2")
    _check_given(exact, len(values), k)
    statement = _statement(table, column, similarity, where, k)
    parameters = [_parameters(value.to_binary(), params) for value in values]
    exact_ms: float | None = None
    with in_one_snapshot(conn), cursor_of(conn) as cursor:
        with _settings(conn, cursor, _WITH_INDEX):
            if not _is_ordered_by_index(cursor, statement, parameters[0]):
                raise ValueError(f"no index serves {statement.as_string(conn)}")
            found = _answers(cursor, statement, parameters)
        if exact is None:
            with _settings(conn, cursor, _EXACT):
                rows = _answers(cursor, statement, parameters)
            wanted, exact_ms = rows.scores, rows.ms
        else:
            wanted = [[hit.score for hit in hits[:k]] for hits in exact]
    rounding = 0.0 if exact is None else _ROUNDING
    sign = -1 if similarity == "maxsim_l2" else 1
    per_query = [
        _share(best, scores, sign, rounding)
        for best, scores in zip(found.scores, wanted, strict=True)
    ]
    return IndexRecall(k, sum(per_query) / len(per_query), per_query, found.ms, exact_ms)


def _check_given(exact: Sequence[Sequence[Hit]] | None, queries: int, k: int) -> None:
    if exact is None:
        return
    if len(exact) != queries:
        raise ValueError(f"expected exact answers to {queries} queries, not to {len(exact)}")
    fewest = min(len(hits) for hits in exact)
    if fewest < k:
        raise ValueError(f"expected {k} exact answers to each query, not {fewest}")


def _statement(
    table: Table,
    column: str,
    similarity: Similarity,
    where: str | sql.Composable | None,
    k: int,
) -> sql.Composed:
    """Return the statement. Its parameters are the query, those of the condition, and the query."""
    return sql.SQL(
        "SELECT {score} AS score FROM {table} WHERE {column} IS NOT NULL{where} "
        "ORDER BY {score}{direction} LIMIT {k}"
    ).format(
        score=sql.SQL("{}({}, multivector(%s))").format(
            sql.Identifier(similarity), escaped(sql.Identifier(column))
        ),
        table=escaped(identifier(table)),
        column=escaped(sql.Identifier(column)),
        where=_condition(where),
        direction=sql.SQL("" if similarity == "maxsim_l2" else " DESC"),
        k=sql.Literal(k),
    )


def _condition(where: str | sql.Composable | None) -> sql.Composable:
    if where is None:
        return sql.SQL("")
    condition = where if isinstance(where, sql.Composable) else sql.SQL(where)
    return sql.SQL(" AND ({})").format(condition)


def _parameters(query: bytes, params: Sequence[Any]) -> tuple[Any, ...]:
    return query, *params, query


@contextmanager
def _settings(
    conn: psycopg.Connection[Any], cursor: psycopg.Cursor[Any], settings: Mapping[str, str]
) -> Iterator[None]:
    """Change settings, and change them back."""
    with conn.transaction(force_rollback=True):
        for name, value in settings.items():
            cursor.execute("SELECT pg_catalog.set_config(%s, %s, true)", (name, value))
        yield


def _is_ordered_by_index(
    cursor: psycopg.Cursor[Any], statement: sql.Composed, parameters: tuple[Any, ...]
) -> bool:
    explain = sql.SQL("EXPLAIN (FORMAT JSON) {}").format(statement)
    row = cursor.execute(explain, parameters).fetchone()
    assert row is not None
    return any("Order By" in node for node in _nodes(row[0][0]["Plan"]))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


def _answers(
    cursor: psycopg.Cursor[Any], statement: sql.Composed, parameters: list[tuple[Any, ...]]
) -> _Answers:
    begin = time.perf_counter()
    scores = [
        [score for (score,) in cursor.execute(statement, values, prepare=False)]
        for values in parameters
    ]
    return _Answers(scores, (time.perf_counter() - begin) * 1000 / len(parameters))


def _share(found: list[float], exact: list[float], sign: int, rounding: float) -> float:
    """Return the share of exact answers that were found. Equal scores are equally good."""
    if not exact:
        return 1.0
    least = sign * exact[-1] - rounding * abs(exact[-1])
    return sum(sign * score >= least for score in found) / len(exact)
