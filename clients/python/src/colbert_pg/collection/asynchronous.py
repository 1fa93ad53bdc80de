"""A collection on an asynchronous connection of psycopg, or on a pool of them."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import psycopg

from .._build import acreate_index
from .._cursors import AsyncCursor, async_cursor_of
from ..psycopg import register_multivector_async
from ..psycopg.register import is_registered
from . import methods
from .operations import Build, Call, Operation, Result, Run, Transaction
from .statements import Statement

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

    Source = psycopg.AsyncConnection[Any] | AsyncConnectionPool[Any]

P = ParamSpec("P")
T = TypeVar("T")
Connection = psycopg.AsyncConnection[Any]


def _awaited(
    method: Callable[Concatenate[methods.Base[Any], P], Operation[T]],
) -> Callable[Concatenate[AsyncCollection, P], Awaitable[T]]:
    """Return a method that awaits an operation."""

    @functools.wraps(method)
    async def run(self: AsyncCollection, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(method(self, *args, **kwargs))

    return run


class AsyncCollection(methods.Base["Source"]):
    """A table as that of a Collection, with the same methods, which are awaited.

    conn: a psycopg.AsyncConnection, or a psycopg_pool.AsyncConnectionPool. Tasks that share a
    connection wait for each other.

    The encoder and a reranker run in a thread; a reranker may be an asynchronous function, too.
    """

    _lock = asyncio.Lock

    create = _awaited(methods.create)
    add_full_text = _awaited(methods.add_full_text)
    analyze = _awaited(methods.analyze)
    drop = _awaited(methods.drop)
    add = _awaited(methods.add)
    get = _awaited(methods.get)
    delete = _awaited(methods.delete)
    count = _awaited(methods.count)
    filter = _awaited(methods.filter)
    index = _awaited(methods.index)
    search = _awaited(methods.search)
    explain = _awaited(methods.explain)
    terms = _awaited(methods.terms)

    async def _run(self, operation: Operation[T]) -> T:
        with closing(operation):
            run = Run(operation)
            has_next = run.has_next(None)
            while has_next:
                has_next = await self._do_step(run)
            return run.result

    async def _do_step(self, run: Run[Call | Build | Transaction[Any], Any]) -> bool:
        """Do a step, and return whether there is a next one."""
        try:
            returned = await self._step(run.step)
        except Exception as e:
            return run.has_next_after(e)
        return run.has_next(returned)

    async def _step(self, step: Call | Build | Transaction[Any]) -> Any:
        if isinstance(step, Call):
            returned = await asyncio.to_thread(step.function)
            return await returned if inspect.isawaitable(returned) else returned
        if isinstance(step, Build):
            async with self._connection() as conn, _mode(conn, concurrently=step.concurrently):
                return await acreate_index(conn, **step.arguments)
        async with (
            self._connection() as conn,
            conn.transaction(),
            async_cursor_of(conn, binary=True) as cursor,
        ):
            run, result = Run(step), None
            while run.has_next(result):
                result = await _execute(cursor, run.step)
            return run.result

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


async def _execute(cursor: AsyncCursor, statement: Statement) -> Result:
    if not statement.many:
        await cursor.execute(statement.sql, statement.params)
        if cursor.connection.pgconn.pipeline_status:  # of the caller: wait for the result
            async with cursor.connection.pipeline():
                pass
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
