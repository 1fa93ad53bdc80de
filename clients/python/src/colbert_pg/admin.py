"""See, check and tune an index, through any DB-API connection: psycopg, psycopg2, pg8000.dbapi.

The members of a dataclass are the columns of the function in SQL, which README.md and
doc/operations.md of the extension describe.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from .multivector import MultiVector

T = TypeVar("T")


@dataclass(frozen=True)
class IndexInfo:
    """What an index holds: a row of colbert_index_info.

    The index of a partitioned table has the sums of its partitions. A quantizer, dims or
    tokens_per_node that differ between them are None.
    """

    access_method: str
    quantizer: str | None
    dims: int | None
    documents: int
    tokens: int
    null_documents: int
    nodes: int
    tokens_per_node: int | None
    pending_documents: int
    pending_tokens: int
    dead_documents: int
    free_documents: int
    postings: int
    postings_per_node: float
    directory_bytes: int
    sketch_bytes: int
    code_bytes: int
    node_bytes: int
    posting_bytes: int
    total_bytes: int
    imbalance: float | None
    trained_distance: float | None
    merged_distance: float | None
    advice: str | None
    centroids: str | None


@dataclass(frozen=True)
class LastScan:
    """What the last index scan of a session did: the row of colbert_last_scan."""

    index: str
    query_tokens: int
    probes: int
    ef_search: int | None
    candidates: int
    rerank: int
    hops: int
    nodes: int
    postings: int
    gathered: int
    pending: int
    narrowed: int
    reranked: int
    fetched: int
    scored: int
    emitted: int
    late: int
    widenings: int
    exhaustive: bool
    find_ms: float
    gather_ms: float
    narrow_ms: float
    rerank_ms: float
    exact_ms: float
    tested: int
    passed: int
    passes: int
    batches: int
    automatic: list[str]
    find_hit: int
    gather_hit: int
    narrow_hit: int
    rerank_hit: int
    exact_hit: int
    find_read: int
    gather_read: int
    narrow_read: int
    rerank_read: int
    exact_read: int
    find_ahead: int
    gather_ahead: int
    narrow_ahead: int
    rerank_ahead: int
    exact_ahead: int
    recall: float
    expected_misses: float
    share: float


@dataclass(frozen=True)
class Finding:
    """What is wrong with an index: a row of colbert_index_check."""

    severity: str
    part: str
    item: int | None
    message: str


@dataclass(frozen=True)
class Trial:
    """Recall and time of an index by its settings: a row of colbert_tune.

    partition: the index of a partition, whose part of the searches of all partitions the row
    shows; None for the index as a whole.
    """

    target: float
    probes: int
    ef_search: int | None
    candidates: int
    rerank: int
    recall: float
    ms: float
    chosen: bool
    partition: str | None = None

    @property
    def options(self) -> dict[str, float | None]:
        """The options of the index. 0: the index chooses; None: it has no such option."""
        return {
            "recall": self.target,
            "probes": self.probes,
            "ef_search": self.ef_search,
            "candidates": self.candidates,
            "rerank": self.rerank,
        }


def index_info(conn: Any, index: str) -> IndexInfo:
    """Return what an index holds, its bytes, and advice when VACUUM or REINDEX would pay."""
    [row] = _rows(conn, IndexInfo, "colbert_index_info(%s::regclass)", index)
    return row


def partition_info(conn: Any, index: str) -> dict[str, IndexInfo]:
    """Return the contents of the index of each partition, by the name of that index."""
    call = "colbert_partition_info(%s::regclass)"
    rows = _fetch(conn, f"SELECT partition::text, {_columns(IndexInfo)} FROM {call}", index)
    return {name: IndexInfo(*row) for name, *row in rows}


def last_scan(conn: Any) -> LastScan | None:
    """Return what the last index scan of the session did, None if it has had none."""
    rows = _rows(conn, LastScan, "colbert_last_scan()")
    return next((row for row in rows if row.index is not None), None)


def last_scans(conn: Any) -> list[LastScan]:
    """Return the work of each index scan of the session's last statement that had any."""
    return _rows(conn, LastScan, "colbert_last_scans()")


def check(
    conn: Any, index: str, *, heapallindexed: bool = False, rescore: bool = False
) -> list[Finding]:
    """Check an index. An intact index has no findings.

    heapallindexed: is each row of the table in it? rescore: do the codes in it agree with the
    documents? The right to call it is that of superusers, and of those to whom they grant it.
    """
    return _rows(
        conn, Finding, "colbert_index_check(%s::regclass, %s, %s)", index, heapallindexed, rescore
    )


def tune(
    conn: Any,
    index: str,
    queries: Iterable[Any],
    *,
    target_recall: float = 0.95,
    k: int = 10,
    apply: bool = False,
    exact: str | None = None,
) -> list[Trial]:
    """Measure an index on a sample of queries, and choose the cheapest settings for a recall.

    queries: multivectors, or arrays of (tokens, dims). apply: set the options of the index. exact:
    name of a table of exact answers, as write_exact of colbert_pg.gpu fills it.
    """
    values = [MultiVector(query).to_binary() for query in queries]
    return _rows(
        conn,
        Trial,
        "colbert_tune(%s::regclass, %s::bytea[]::multivector[], %s, %s, %s, %s::regclass)",
        index,
        values,
        target_recall,
        k,
        apply,
        exact,
    )


def _rows(conn: Any, cls: type[T], call: str, *parameters: Any) -> list[T]:
    """Return the rows of a function, whose columns are named as the members of the class."""
    rows = _fetch(conn, f"SELECT {_columns(cls)} FROM {call}", *parameters)
    return [cls(*row) for row in rows]


def _columns(cls: Any) -> str:
    return ", ".join(f'"{field.name}"' for field in dataclasses.fields(cls))


def _fetch(conn: Any, statement: str, *parameters: Any) -> list[Any]:
    cursor = conn.cursor()
    try:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
    finally:
        cursor.close()
