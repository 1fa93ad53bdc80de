"""A table of exact answers, from which colbert_tune takes them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .flat import Hit

if TYPE_CHECKING:
    import psycopg

    from .._names import Table

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"


def write_exact(
    conn: psycopg.Connection[Any],
    table: Table,
    answers: Iterable[Sequence[Hit]],
    *,
    replace: bool = False,
) -> int:
    """Write what FlatMaxSim.search returned to a new table, and return the number of rows.

    Its columns are query, the place of the query counted from 1, rank, id as text, and score.
    replace: replace the rows of a table that exists.
    """
    from psycopg import sql  # noqa: PLC0415

    from .._names import identifier  # noqa: PLC0415
    from .rows import encoding_of  # noqa: PLC0415

    encoding = encoding_of(conn)
    name = identifier(table)
    create = sql.SQL(
        "CREATE TABLE {} {} (query integer, rank integer, id text NOT NULL, score float8 NOT NULL,"
        " PRIMARY KEY (query, rank))"
    ).format(sql.SQL("IF NOT EXISTS" if replace else ""), name)
    rows = 0
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(create)
        if replace:
            cursor.execute(sql.SQL("DELETE FROM {}").format(name))
        copy_in = sql.SQL("COPY {} (query, rank, id, score) FROM STDIN (FORMAT binary)")
        with cursor.copy(copy_in.format(name)) as copy:
            copy.write(_HEADER)
            for query, hits in enumerate(answers, 1):
                for rank, hit in enumerate(hits, 1):
                    copy.write(_row(query, rank, hit, encoding))
                    rows += 1
            copy.write(_TRAILER)
    return rows


def _row(query: int, rank: int, hit: Hit, encoding: str) -> bytes:
    id_ = str(hit.id).encode(encoding)
    return (
        struct.pack(">hiiiii", 4, 4, query, 4, rank, len(id_))
        + id_
        + struct.pack(">id", 8, hit.score)
    )
