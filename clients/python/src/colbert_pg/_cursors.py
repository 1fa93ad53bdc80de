"""Cursors that bind parameters in the server.

Those that a connection makes may be others: client-side cursors have no binary results, and raw
ones other placeholders.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import psycopg
from psycopg.pq import Format
from psycopg.rows import tuple_row

Cursor: TypeAlias = psycopg.Cursor[tuple[Any, ...]]
AsyncCursor: TypeAlias = psycopg.AsyncCursor[tuple[Any, ...]]

_NAMES = ("ClientCursor", "RawCursor", "AsyncClientCursor", "AsyncRawCursor")
_OTHERS = tuple(getattr(psycopg, name) for name in _NAMES if hasattr(psycopg, name))  # 3.1: not raw


def cursor_of(conn: psycopg.Connection[Any], *, binary: bool = False) -> Cursor:
    """Return a cursor whose rows are tuples. binary: whether results come in the binary format."""
    if not _makes_others(conn.cursor_factory):
        return conn.cursor(binary=binary, row_factory=tuple_row)
    cursor = psycopg.Cursor(conn, row_factory=tuple_row)
    cursor.format = Format.BINARY if binary else Format.TEXT
    return cursor


def async_cursor_of(conn: psycopg.AsyncConnection[Any], *, binary: bool = False) -> AsyncCursor:
    """Do what cursor_of does, for an asynchronous connection."""
    if not _makes_others(conn.cursor_factory):
        return conn.cursor(binary=binary, row_factory=tuple_row)
    cursor = psycopg.AsyncCursor(conn, row_factory=tuple_row)
    cursor.format = Format.BINARY if binary else Format.TEXT
    return cursor


def _makes_others(factory: Any) -> bool:
    return isinstance(factory, type) and issubclass(factory, _OTHERS)
