"""Collections on each kind of connection."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
import psycopg_pool

from colbert_pg.collection import AsyncCollection, Collection

T = TypeVar("T")

KINDS = ["autocommit", "transaction", "pool", "async", "async-pool"]


async def done(value: Awaitable[T] | T) -> T:
    """Return a value, or the result of an awaitable, so that a test serves both kinds."""
    return await value if inspect.isawaitable(value) else value


@asynccontextmanager
async def maker(kind: str, dsn: str) -> AsyncIterator[Callable[..., Any]]:
    """Return a function that makes a collection on a kind of connection."""
    if kind == "pool":
        with psycopg_pool.ConnectionPool(dsn, min_size=1, open=True) as pool:
            yield lambda *args, **options: Collection(pool, *args, **options)
    elif kind == "async":
        async with await psycopg.AsyncConnection.connect(dsn) as aconn:
            yield lambda *args, **options: AsyncCollection(aconn, *args, **options)
    elif kind == "async-pool":
        async with psycopg_pool.AsyncConnectionPool(dsn, min_size=1, open=False) as apool:
            yield lambda *args, **options: AsyncCollection(apool, *args, **options)
    else:
        with psycopg.connect(dsn, autocommit=kind == "autocommit") as conn:
            yield lambda *args, **options: Collection(conn, *args, **options)
