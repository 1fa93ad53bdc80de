"""The collection behind a store: on pools of its own, or those that the caller made."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from ..collection import AsyncCollection, Collection

MAX_SIZE = 8


class Given:
    """Collections of the caller, who closes their connections.

    Without an asynchronous one, the other serves event loops in a thread.
    """

    def __init__(self, collection: Collection, async_collection: AsyncCollection | None) -> None:
        self._sync = collection
        self._async = _InThread(collection) if async_collection is None else async_collection

    def sync(self) -> Collection:
        """Return the collection for threads."""
        return self._sync

    async def loop(self) -> Any:
        """Return the collection for event loops."""
        return self._async

    def close(self) -> None:
        """Leave the connections to the caller."""

    async def aclose(self) -> None:
        """Leave the connections to the caller."""


class _InThread:
    """The methods of a collection, each in a thread."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._collection, name)
        return lambda *arguments, **options: asyncio.to_thread(method, *arguments, **options)


@dataclass
class _Loop:
    """What an event loop has: its pool, and the connections that the pool opened."""

    opening: asyncio.Task[AsyncCollection] | None = None
    connections: weakref.WeakSet[psycopg.AsyncConnection[Any]] = field(
        default_factory=weakref.WeakSet
    )
    guard: AsyncGenerator[AsyncConnectionPool[Any], None] | None = None

    async def note(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.connections.add(connection)

    def drop(self) -> None:
        """Close the connections. Nothing is awaited: the loop may be closed."""
        for connection in list(self.connections):
            connection.pgconn.finish()


class Collections:
    """A collection of each kind, both for the same table. They connect at their first use.

    Threads share a pool, and the tasks of each event loop share another, which is closed with the
    loop by asyncio.run, and otherwise when the next loop or close comes.

    connection: a connection string of libpq, or a function that returns one.
    create: create the table at the first use if it is missing.
    arguments: all others of Collection.
    """

    def __init__(
        self,
        connection: str | Callable[[], str],
        *arguments: Any,
        create: bool = True,
        **options: Any,
    ) -> None:
        self._connection = connection
        self._create = create
        self._arguments, self._options = arguments, options
        self._lock = threading.Lock()
        self._sync: tuple[ConnectionPool[Any], Collection] | None = None
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}

    def sync(self) -> Collection:
        """Return the collection for threads."""
        with self._lock:
            if self._sync is None:
                self._sync = self._open()
            return self._sync[1]

    async def loop(self) -> AsyncCollection:
        """Return the collection for the running event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            self._drop_closed()
            found = self._loops.setdefault(loop, _Loop())
        task = found.opening
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = found.opening = loop.create_task(self._open_async(found))
        # The task is that of all callers: it goes on if one of them is cancelled.
        return await asyncio.shield(task)

    def close(self) -> None:
        """Close the connections of threads."""
        with self._lock:
            self._drop_closed()
            if self._sync is not None:
                self._sync[0].close()
            self._sync = None

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        with self._lock:
            found = self._loops.pop(asyncio.get_running_loop(), None)
        if found is None or found.opening is None:
            return
        with suppress(Exception):  # that of an attempt to connect, which left nothing open
            await found.opening
        if found.guard is not None:
            await found.guard.aclose()

    def _drop_closed(self) -> None:
        """Forget event loops that were closed without asyncio.run, and their connections."""
        for loop in [loop for loop in self._loops if loop.is_closed()]:
            self._loops.pop(loop).drop()

    def _conninfo(self) -> str:
        return self._connection if isinstance(self._connection, str) else self._connection()

    def _open(self) -> tuple[ConnectionPool[Any], Collection]:
        pool = ConnectionPool(
            self._conninfo(),
            min_size=0,
            max_size=MAX_SIZE,
            check=ConnectionPool.check_connection,
            open=True,
        )
        try:
            collection = Collection(pool, *self._arguments, **self._options)
            if self._create:
                collection.create()
        except BaseException:
            pool.close()
            raise
        return pool, collection

    async def _open_async(self, found: _Loop) -> AsyncCollection:
        found.guard = self._guarded(found)
        pool = await anext(found.guard)
        try:
            collection = AsyncCollection(pool, *self._arguments, **self._options)
            if self._create:
                await collection.create()
        except BaseException:
            await found.guard.aclose()
            raise
        return collection

    async def _guarded(self, found: _Loop) -> AsyncGenerator[AsyncConnectionPool[Any], None]:
        """Open a pool, and close it when the generator ends.

        asyncio.run ends all tasks, also those of the pool, then all asynchronous generators.
        """
        pool = AsyncConnectionPool(
            self._conninfo(),
            min_size=0,
            max_size=MAX_SIZE,
            check=AsyncConnectionPool.check_connection,
            configure=found.note,
            open=False,
        )
        await pool.open()
        try:
            yield pool
        finally:
            loop = asyncio.get_running_loop()
            with self._lock:
                if self._loops.get(loop) is found:
                    del self._loops[loop]
            try:
                await pool.close()
            except asyncio.CancelledError:  # as the tasks are that it waits for
                found.drop()
                raise
