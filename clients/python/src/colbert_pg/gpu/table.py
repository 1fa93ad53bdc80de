"""The table of centroids that CREATE INDEX ... WITH (centroids = ...) reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .devices import Numbers, blocks
from .kmeans import Centroids

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_FLOAT4 = 700  # the type's OID, in the header of an array
_ROWS = 1024


def write_centroids(
    conn: psycopg.Connection[Any],
    table: sql.Identifier,
    centroids: Centroids,
    *,
    replace: bool = False,
) -> None:
    """Create a table of centroids, in one transaction. replace: empty one that exists instead."""
    from psycopg import sql  # noqa: PLC0415

    create = sql.SQL(
        "CREATE TABLE {} {} (id bigint PRIMARY KEY, parent bigint, embedding real[] NOT NULL)"
    ).format(sql.SQL("IF NOT EXISTS" if replace else ""), table)
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(create)
        if replace:
            # not TRUNCATE, for which other sessions would wait
            cursor.execute(sql.SQL("DELETE FROM {}").format(table))
        copy_in = sql.SQL("COPY {} (id, parent, embedding) FROM STDIN (FORMAT binary)")
        with cursor.copy(copy_in.format(table)) as copy:
            copy.write(_HEADER)
            for part in blocks(len(centroids.parents), _ROWS):
                copy.write(_rows(centroids.parents[part], 1 + part.start, None))
            first = 1 + len(centroids.parents)
            for part in blocks(len(centroids.centroids), _ROWS):
                parents = centroids.parent_of[part] + 1
                copy.write(_rows(centroids.centroids[part], first + part.start, parents))
            copy.write(_TRAILER)


def _rows(vectors: Numbers, first_id: int, parents: Numbers | None) -> bytes:
    """Return rows in the binary format of COPY. parents: None for rows whose parent is NULL."""
    n, dims = vectors.shape
    element = np.dtype([("size", ">i4"), ("value", ">f4")])
    fields: list[tuple[Any, ...]] = [("fields", ">i2"), ("id_size", ">i4"), ("id", ">i8")]
    fields += [("parent_size", ">i4")]
    fields += [] if parents is None else [("parent", ">i8")]
    fields += [("size", ">i4"), ("header", ">i4", (5,)), ("elements", element, (dims,))]
    rows = np.zeros(n, np.dtype(fields))
    rows["fields"], rows["id_size"] = 3, 8
    rows["id"] = np.arange(first_id, first_id + n)
    rows["parent_size"] = -1 if parents is None else 8
    if parents is not None:
        rows["parent"] = parents
    rows["size"] = 20 + 8 * dims
    rows["header"] = (1, 0, _FLOAT4, dims, 1)  # one dimension, no NULL, elements from 1 on
    rows["elements"]["size"], rows["elements"]["value"] = 4, vectors
    return rows.tobytes()
