"""Documents of a table by COPY BINARY, row by row, in bounded memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from ..multivector import MultiVector

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

    from .._names import Table

Id: TypeAlias = int | str

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_INTEGERS = ("smallint", "integer", "bigint")


def read_documents(
    conn: psycopg.Connection[Any],
    table: Table,
    column: str,
    id_column: str,
    where: str | sql.Composable | None = None,
) -> Iterator[tuple[Id, MultiVector]]:
    """Yield the id and the document of each row whose document is not NULL.

    Ids of integer types are integers, and those of other types their text. where: a condition.
    """
    from psycopg import sql  # noqa: PLC0415

    from .._names import identifier  # noqa: PLC0415

    name, key = identifier(table), sql.Identifier(id_column)
    integers = _type_of(conn, name, id_column) in _INTEGERS
    statement = sql.SQL("SELECT {}::{}, {} FROM {}{}").format(
        key,
        sql.SQL("pg_catalog.int8" if integers else "pg_catalog.text"),
        sql.Identifier(column),
        name,
        condition(where),
    )
    encoding = encoding_of(conn)
    for id_bytes, document in copy_binary(conn, statement):
        if document is None or id_bytes is None:
            continue
        value: Id = struct.unpack(">q", id_bytes)[0] if integers else str(id_bytes, encoding)
        yield value, MultiVector.from_binary(document)


def encoding_of(conn: psycopg.Connection[Any]) -> str:
    """Return the encoding of text in COPY BINARY: that of the client, and UTF-8 for SQL_ASCII."""
    encoding = conn.info.encoding
    return "utf-8" if encoding == "ascii" else encoding


def condition(where: str | sql.Composable | None) -> sql.Composable:
    """Return a WHERE clause, or nothing."""
    from psycopg import sql  # noqa: PLC0415

    if where is None:
        return sql.SQL("")
    text = sql.SQL(where) if isinstance(where, str) else where
    return sql.SQL(" WHERE {}").format(text)


def _type_of(conn: psycopg.Connection[Any], table: sql.Identifier, column: str) -> str:
    from psycopg import sql  # noqa: PLC0415

    statement = sql.SQL("SELECT {} FROM {} LIMIT 0").format(sql.Identifier(column), table)
    with conn.cursor() as cursor:
        cursor.execute(statement)
        oid = cursor.description[0].type_code if cursor.description else 0
        cursor.execute("SELECT pg_catalog.format_type(%s, NULL)", (oid,))
        row = cursor.fetchone()
    return str(next(iter(row.values())) if isinstance(row, dict) else row[0]) if row else ""


def copy_binary(
    conn: psycopg.Connection[Any], statement: sql.Composable
) -> Iterator[tuple[bytes | None, ...]]:
    """Yield the fields of each row of a query. The documents of at most one message are held."""
    from psycopg import sql  # noqa: PLC0415

    with (
        conn.cursor() as cursor,
        cursor.copy(sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(statement)) as copy,
    ):
        yield from _rows(bytes(block) for block in copy)


class _Buffer:
    """Bytes of messages that begin and end anywhere."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._held, self._at = blocks, b"", 0

    def take(self, n: int) -> bytes:
        while len(self._held) - self._at < n:
            block = next(self._blocks, None)
            if block is None:
                raise ValueError("COPY ended within a row")
            self._held, self._at = self._held[self._at :] + block, 0
        self._at += n
        return self._held[self._at - n : self._at]


def _rows(blocks: Iterator[bytes]) -> Iterator[tuple[bytes | None, ...]]:
    buffer = _Buffer(blocks)
    if buffer.take(len(_SIGNATURE)) != _SIGNATURE:
        raise ValueError("expected the signature of COPY in binary format")
    _flags, extension = struct.unpack(">iI", buffer.take(8))
    buffer.take(extension)
    while True:
        (nfields,) = struct.unpack(">h", buffer.take(2))
        if nfields < 0:
            break
        row: list[bytes | None] = []
        for _ in range(nfields):
            (size,) = struct.unpack(">i", buffer.take(4))
            row.append(None if size < 0 else buffer.take(size))
        yield tuple(row)
    for _ in blocks:  # the server's last message must be read
        pass
