"""A collection on an asynchronous connection of psycopg, or on a pool of them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt
import psycopg
from psycopg.rows import tuple_row

from .._build import BuildProgress, Method, acreate_index
from .._names import Table
from .._progress import Progress
from ..encoders.protocol import Encoder
from ..explain import Explanation
from ..multivector import Element, MultiVector
from ..psycopg import register_multivector_async
from ..psycopg.register import is_registered
from .operations import BATCH, Call, Described, Operation, Operations, Result, Transaction
from .records import AsyncRerank, Columns, Hit, IdType, OnConflict, Record, Similarity
from .statements import OPCLASSES, Statement, Where

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

T = TypeVar("T")
Connection = psycopg.AsyncConnection[Any]


class AsyncCollection(Described):
    """A table of texts, their multivectors and metadata.

    conn: a connection, or a pool, of which each method takes a connection.
    encoder: needed wherever a text is encoded. element: of the column that create makes.
    similarity: the function that search orders by. Scores of maxsim_l2 are distances.

    A method is one transaction, or a savepoint in that of the caller. The encoder and a reranker
    run in a thread; a reranker may be an asynchronous function, too. Tasks that share a connection
    wait for each other.
    """

    def __init__(
        self,
        conn: Connection | AsyncConnectionPool[Any],
        table: Table,
        encoder: Encoder | None = None,
        *,
        columns: Columns = Columns(),  # noqa: B008
        element: Element = "float2",
        id_type: IdType = "text",
        similarity: Similarity = "maxsim",
    ) -> None:
        self._conn = conn
        self._turn = asyncio.Lock()
        self._do = Operations(
            table,
            encoder,
            columns=columns,
            element=element,
            id_type=id_type,
            similarity=similarity,
        )

    async def create(self, *, exist_ok: bool = True, dims: int | None = None) -> None:
        """Create the table, and an index on its metadata.

        exist_ok: check that a table of this name has the columns and dims, and leave it as it is.
        dims: those of the encoder by default.
        """
        await self._run(self._do.create(dims, exist_ok=exist_ok))

    async def drop(self) -> None:
        """Drop the table if it exists."""
        await self._run(self._do.drop())

    async def add(
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
        return await self._run(
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

    async def get(self, ids: Sequence[str]) -> list[Record]:
        """Return the rows of ids, in their order. Unknown ids are left out."""
        return await self._run(self._do.get(ids))

    async def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        where: Where | None = None,
        params: Sequence[Any] = (),
    ) -> int:
        """Delete the rows of ids, those that a condition selects, or those of both.

        Return how many were deleted.
        """
        return await self._run(self._do.delete(ids, where, params))

    async def count(self, *, where: Where | None = None, params: Sequence[Any] = ()) -> int:
        """Return the number of rows that a condition selects, all by default."""
        return await self._run(self._do.count(where, params))

    async def filter(
        self,
        *,
        where: Where | None = None,
        params: Sequence[Any] = (),
        limit: int | None = None,
    ) -> list[Record]:
        """Return the rows that a condition selects, ordered by id."""
        return await self._run(self._do.filter(where, params, limit))

    async def index(
        self,
        method: Method = "colbert_hnsw",
        *,
        concurrently: bool = False,
        progress: BuildProgress = False,
        **options: Any,
    ) -> str:
        """Create an index for search, and return its name. See colbert_pg.load.acreate_index."""
        async with self._connection() as conn, _mode(conn, concurrently=concurrently):
            return await acreate_index(
                conn,
                self.table,
                self.columns.doc,
                method=method,
                opclass=OPCLASSES[self.similarity],
                concurrently=concurrently,
                progress=progress,
                **options,
            )

    async def search(
        self,
        query: str | MultiVector | npt.ArrayLike,
        limit: int = 10,
        *,
        where: Where | None = None,
        params: Sequence[Any] = (),
        doc: bool = False,
        rerank: AsyncRerank | None = None,
        candidates: int | None = None,
    ) -> list[Hit]:
        """Return the best rows for a text or a multivector, among those that a condition selects.

        where: a mapping that the metadata contains, or SQL with %s for each of params.
        doc: return the multivectors, too.
        rerank: a function that gets the query and hits, and returns a score for each, such as a
        cross-encoder's. candidates: how many hits it gets, five times limit by default.
        """
        return await self._run(
            self._do.search(
                query, limit, where, params, doc=doc, rerank=rerank, candidates=candidates
            )
        )

    async def explain(self, query: str, hit: Record | str) -> Explanation:
        """Explain the score maxsim(doc, query) of a hit, or of the row of an id, by words."""
        return await self._run(self._do.explain(query, hit))

    async def _run(self, operation: Operation[T]) -> T:
        with closing(operation):
            returned: Any = None
            while True:
                try:
                    step = operation.send(returned)
                except StopIteration as done:
                    value: T = done.value
                    return value
                if isinstance(step, Call):
                    returned = await _called(step)
                else:
                    returned = await self._commit(step)

    async def _commit(self, statements: Transaction[Any]) -> Any:
        async with self._connection() as conn, conn.transaction(), _cursor(conn) as cursor:
            result: Any = None
            while True:
                try:
                    statement = statements.send(result)
                except StopIteration as done:
                    return done.value
                result = await _execute(cursor, statement)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        if isinstance(self._conn, psycopg.AsyncConnection):
            async with self._turn:
                yield await _registered(self._conn)
            return
        async with self._conn.connection() as conn:
            yield await _registered(conn)


async def _registered(conn: Connection) -> Connection:
    if not is_registered(conn):
        await register_multivector_async(conn)
    return conn


async def _called(call: Call) -> Any:
    """Make a call in a thread. What an asynchronous function returns is awaited here."""
    returned = await asyncio.to_thread(call.function)
    return await returned if inspect.isawaitable(returned) else returned


def _cursor(conn: Connection) -> psycopg.AsyncCursor[tuple[Any, ...]]:
    return conn.cursor(binary=True, row_factory=tuple_row)


async def _execute(cursor: psycopg.AsyncCursor[tuple[Any, ...]], statement: Statement) -> Result:
    if not statement.many:
        await cursor.execute(statement.sql, statement.params)
        return Result(await cursor.fetchall() if cursor.description else [], cursor.rowcount)
    await cursor.executemany(statement.sql, statement.params, returning=True)
    rows = await cursor.fetchall()
    while cursor.nextset():
        rows += await cursor.fetchall()
    return Result(rows, len(rows))


@asynccontextmanager
async def _mode(conn: Connection, *, concurrently: bool) -> AsyncIterator[None]:
    """Open a transaction, or make sure that there is none, as CONCURRENTLY demands."""
    if not concurrently:
        async with conn.transaction():
            yield
        return
    before = conn.autocommit
    await conn.set_autocommit(True)
    try:
        yield
    finally:
        await conn.set_autocommit(before)
