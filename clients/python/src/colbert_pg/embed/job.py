"""Jobs of embedding, and their tables in the catalog."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, get_args

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from .._driver import NOT_FOUND
from .._names import Table, identifier
from ..multivector import Element

REGISTRY = "colbert_pg_embeddings"
PREFIX = "colbert_pg_embed"  # of queues, triggers, their functions; also the channel of NOTIFY

_ELEMENTS: tuple[Element, ...] = get_args(Element)
_TYPE = re.compile(r"multivector(?:\((\d+)(?:, ?(\w+))?\))?$")


class EmbedError(ValueError):
    """A job that cannot be done as it is asked for."""


@dataclass(frozen=True)
class Job:
    """Keep embeddings in step with a column of text.

    table: a name, "passages" or "public.passages", or a psycopg.sql.Identifier. It has a primary
    key. text: its column of text, of any type. column: the column of multivectors.
    chunks: a table for the embeddings of parts of each text, instead of one per row; column is in
    it then. It is created if it is missing. Its multivectors have the type element.
    chunk_size: maximum characters per chunk; without it, only the encoder's window limits a chunk.
    overlap: maximum characters that a chunk repeats of the one before.
    """

    table: Table
    text: str = "body"
    column: str = "doc"
    chunks: Table | None = None
    element: Element = "float2"
    chunk_size: int | None = None
    overlap: int = 100

    def __post_init__(self) -> None:
        if self.element not in _ELEMENTS:
            raise ValueError(f"expected an element of {', '.join(_ELEMENTS)}, not {self.element!r}")
        if self.overlap < 0:
            raise ValueError(f"expected an overlap of at least 0, not {self.overlap}")
        if self.chunk_size is not None and self.chunk_size <= self.overlap:
            raise ValueError(
                f"expected a chunk_size of more than overlap, {self.overlap}, not {self.chunk_size}"
            )
        if self.chunk_size is not None and self.chunks is None:
            raise ValueError("expected chunks beside chunk_size")

    def identity(self, name: str, dims: int) -> str:
        """Return what embeddings depend on: of another identity, they are stale."""
        identity = f"{name} ({dims} dims)"
        if self.chunks is None:
            return identity
        size = f" of {self.chunk_size} characters" if self.chunk_size else ""
        return f"{identity}, chunks{size} with an overlap of {self.overlap}"


@dataclass(frozen=True)
class Source:
    """The table of texts."""

    oid: int
    schema: str
    name: str
    is_partitioned: bool
    keys: tuple[str, ...]
    extension_schema: str

    @property
    def table(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True)
class Column:
    """The column of multivectors. Its dims and element may be any."""

    table_oid: int
    schema: str
    name: str
    dims: int | None
    element: Element | None


_RELATION = """
    SELECT c.oid, n.nspname, c.relname, c.relkind
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = pg_catalog.to_regclass(%s)
"""
_KEYS = """
    SELECT a.attname FROM pg_catalog.pg_index i
    CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY k(attnum, n)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = %s AND i.indisprimary AND k.n <= i.indnkeyatts ORDER BY k.n
"""
_COLUMN = """
    SELECT a.atttypid = pg_catalog.to_regtype(%s), pg_catalog.format_type(a.atttypid, a.atttypmod)
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = %s AND a.attname = %s AND a.attnum > 0 AND NOT a.attisdropped
"""
_EXTENSION = """
    SELECT n.nspname, pg_catalog.current_setting('server_encoding')
    FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'colbert_pg'
"""


def one(conn: psycopg.Connection[Any], query: Any, parameters: Any = None) -> Any:
    """Return the first row, or None."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query, parameters).fetchone()


def relation(conn: psycopg.Connection[Any], table: Table) -> tuple[int, str, str, bool] | None:
    """Return the oid, schema and name of a table, and whether it has partitions, if it exists."""
    name = identifier(table).as_string(conn)
    row = one(conn, _RELATION, (name,))
    if row is None:
        return None
    oid, schema, relname, kind = row
    if kind not in ("r", "p"):
        raise EmbedError(f"expected a table, not {name}")
    return oid, schema, relname, kind == "p"


def find_source(conn: psycopg.Connection[Any], job: Job) -> Source:
    name = identifier(job.table).as_string(conn)
    found = relation(conn, job.table)
    if found is None:
        raise EmbedError(f"table {name} not found")
    row = one(conn, _EXTENSION)
    if row is None:
        raise EmbedError(NOT_FOUND)
    extension_schema, encoding = row
    if encoding == "SQL_ASCII":
        raise EmbedError("expected a database with an encoding of characters, not SQL_ASCII")
    with conn.cursor(row_factory=tuple_row) as cursor:
        keys = tuple(key for (key,) in cursor.execute(_KEYS, (found[0],)))
    if not keys:
        raise EmbedError(f"table {name} has no primary key")
    source = Source(*found, keys, extension_schema)
    if one(conn, _COLUMN, ("text", source.oid, job.text)) is None:
        raise EmbedError(f'table {name} has no column "{job.text}"')
    return source


def find_column(conn: psycopg.Connection[Any], job: Job, source: Source) -> Column | None:
    """Return the column of multivectors, or None if its table of chunks does not exist."""
    table = job.table if job.chunks is None else job.chunks
    found = relation(conn, table)
    if found is None:
        return None
    name = identifier(table).as_string(conn)
    type_name = sql.Identifier(source.extension_schema, "multivector").as_string(conn)
    row = one(conn, _COLUMN, (type_name, found[0], job.column))
    if row is None:
        raise EmbedError(f'table {name} has no column "{job.column}"')
    is_multivector, described = row
    match = _TYPE.search(described)
    if not is_multivector or match is None:
        raise EmbedError(f'expected column "{job.column}" of type multivector, not {described}')
    if match[1] is None:
        return Column(*found[:3], None, None)
    element: Element = next((known for known in _ELEMENTS if known == match[2]), "float4")
    return Column(*found[:3], int(match[1]), element)
