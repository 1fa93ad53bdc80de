"""A collection on a connection of psycopg, or on a pool of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt
import psycopg
from psycopg.rows import tuple_row

from .._build import BuildProgress, Method, create_index
from .._names import Table
from .._progress import Progress
from ..encoders.protocol import Encoder
from ..explain import Explanation
from ..multivector import Element, MultiVector
from ..psycopg import register_multivector
from ..psycopg.register import is_registered
from .operations import BATCH, Call, Described, Operation, Operations, Result, Transaction
from .records import Columns, Hit, IdType, OnConflict, Record, Rerank, Similarity
from .statements import OPCLASSES, Statement, Where

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

T = TypeVar("T")
Connection = psycopg.Connection[Any]


class Collection(Described):
    """A table of texts, their multivectors and metadata.

    conn: a connection, or a pool, of which each method takes a connection.
    encoder: needed wherever a text is encoded. element: of the column that create makes.
    similarity: the function that search orders by. Scores of maxsim_l2 are distances.

    A method is one transaction, or a savepoint in that of the caller. Threads that share a
    connection wait for each other.
    """

    def __init__(
        self,
        conn: Connection | ConnectionPool[Any],
        table: Table,
        encoder: Encoder | None = None,
        *,
        columns: Columns = Columns(),  # noqa: B008
        element: Element = "float2",
        id_type: IdType = "text",
        similarity: Similarity = "maxsim",
    ) -> None:
        self._conn = conn
        self._turn = threading.Lock()
        self._do = Operations(
            table,
            encoder,
            columns=columns,
            element=element,
            id_type=id_type,
            similarity=similarity,
        )

    def create(self, *, exist_ok: bool = True, dims: int | None = None) -> None:
        """Create the table, and an index on its metadata.

        exist_ok: check that a table of this name has the columns and dims, and leave it as it is.
        dims: those of the encoder by default.
        """
        self._run(self._do.create(dims, exist_ok=exist_ok))

    def drop(self) -> None:
        """Drop the table if it exists."""
        self._run(self._do.drop())

    def add(
        self,
        texts: Sequence[str],
        *,
        ids: Sequence[str] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        docs: Sequence[MultiVector | npt.ArrayLike] | None = None,
        on_conflict: OnConflict = "error",
        batch_size: int = BATCH,
        progress: Progress = False,
    ) -> list[str]:
        """Encode texts and write them, and return the ids of the rows written, in order.

        All texts are encoded before the first is written, batch_size at a time.
        ids: random UUIDs by default. docs: their multivectors; then nothing is encoded.
        on_conflict: what becomes of a text whose id exists: IdExistsError, it replaces the row, or
        it is skipped.
        progress: True for a bar of tqdm, or a function that gets the number of texts encoded and
        the total.
        """
        return self._run(
            self._do.add(
                texts,
                ids=ids,
                metadata=metadata,
                docs=docs,
                on_conflict=on_conflict,
                batch_size=batch_size,
                progress=progress,
            )
        )

    def get(self, ids: Sequence[str]) -> list[Record]:
        """Return the rows of ids, in their order. Unknown ids are left out."""
        return self._run(self._do.get(ids))

    def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        where: Where | None = None,
        params: Sequence[Any] = (),
    ) -> int:
        """Delete the rows of ids, those that a condition selects, or those of both.

        Return how many were deleted.
        """
        return self._run(self._do.delete(ids, where, params))

    def count(self, *, where: Where | None = None, params: Sequence[Any] = ()) -> int:
        """Return the number of rows that a condition selects, all by default."""
        return self._run(self._do.count(where, params))

    def filter(
        self,
        *,
        where: Where | None = None,
        params: Sequence[Any] = (),
        limit: int | None = None,
    ) -> list[Record]:
        """Return the rows that a condition selects, ordered by id."""
        return self._run(self._do.filter(where, params, limit))

    def index(
        self,
        method: Method = "colbert_hnsw",
        *,
        concurrently: bool = False,
        progress: BuildProgress = False,
        **options: Any,
    ) -> str:
        """Create an index for search, and return its name. See colbert_pg.load.create_index."""
        with self._connection() as conn, _mode(conn, concurrently=concurrently):
            return create_index(
                conn,
                self.table,
                self.columns.doc,
                method=method,
                opclass=OPCLASSES[self.similarity],
                concurrently=concurrently,
                progress=progress,
                **options,
            )

    def search(
        self,
        query: str | MultiVector | npt.ArrayLike,
        limit: int = 10,
        *,
        where: Where | None = None,
        params: Sequence[Any] = (),
        doc: bool = False,
        rerank: Rerank | None = None,
        candidates: int | None = None,
    ) -> list[Hit]:
        """Return the best rows for a text or a multivector, among those that a condition selects.

        where: a mapping that the metadata contains, or SQL with %s for each of params.
        doc: return the multivectors, too.
        rerank: a function that gets the query and hits, and returns a score for each, such as a
        cross-encoder's. candidates: how many hits it gets, five times limit by default.
        """
        return self._run(
            self._do.search(
                query, limit, where, params, doc=doc, rerank=rerank, candidates=candidates
            )
        )

    def explain(self, query: str, hit: Record | str) -> Explanation:
        """Explain the score maxsim(doc, query) of a hit, or of the row of an id, by words."""
        return self._run(self._do.explain(query, hit))

    def _run(self, operation: Operation[T]) -> T:
        with closing(operation):
            returned: Any = None
            while True:
                try:
                    step = operation.send(returned)
                except StopIteration as done:
                    value: T = done.value
                    return value
                returned = step.function() if isinstance(step, Call) else self._commit(step)

    def _commit(self, statements: Transaction[Any]) -> Any:
        with self._connection() as conn, conn.transaction(), _cursor(conn) as cursor:
            result: Any = None
            while True:
                try:
                    statement = statements.send(result)
                except StopIteration as done:
                    return done.value
                result = _execute(cursor, statement)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        if isinstance(self._conn, psycopg.Connection):
            with self._turn:
                yield _registered(self._conn)
            return
        with self._conn.connection() as conn:
            yield _registered(conn)


def _registered(conn: Connection) -> Connection:
    if not is_registered(conn):
        register_multivector(conn)
    return conn


def _cursor(conn: Connection) -> psycopg.Cursor[tuple[Any, ...]]:
    return conn.cursor(binary=True, row_factory=tuple_row)


def _execute(cursor: psycopg.Cursor[tuple[Any, ...]], statement: Statement) -> Result:
    if not statement.many:
        cursor.execute(statement.sql, statement.params)
        return Result(cursor.fetchall() if cursor.description else [], cursor.rowcount)
    cursor.executemany(statement.sql, statement.params, returning=True)
    rows = cursor.fetchall()
    while cursor.nextset():
        rows += cursor.fetchall()
    return Result(rows, len(rows))


@contextmanager
def _mode(conn: Connection, *, concurrently: bool) -> Iterator[None]:
    """Open a transaction, or make sure that there is none, as CONCURRENTLY demands."""
    if not concurrently:
        with conn.transaction():
            yield
        return
    before = conn.autocommit
    conn.autocommit = True
    try:
        yield
    finally:
        conn.autocommit = before
