"""Train the centroids of an index outside the server, and write them to a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .devices import make_devices
from .kmeans import ITERATIONS, TOKENS_PER_LIST, Centroids
from .kmeans import train as train_kmeans
from .sample import Similarity, check_similarity, sample_tokens

if TYPE_CHECKING:
    import psycopg

    from .._names import Table

OPERATOR_CLASSES: dict[Similarity, str] = {
    "maxsim": "multivector_maxsim_ops",
    "maxsim_cosine": "multivector_cosine_ops",
    "maxsim_l2": "multivector_l2_ops",
}


@dataclass(frozen=True)
class Trained:
    """What train has done."""

    table: str
    """The name of the table of centroids, with its schema, as the option centroids takes it."""
    centroids: int
    parents: int
    documents: int
    tokens: int
    """All tokens of the column, without copies within a document."""
    sampled: int
    read_seconds: float
    train_seconds: float
    write_seconds: float


def train(
    conn: psycopg.Connection[Any],
    table: Table,
    column: str = "doc",
    *,
    lists: int,
    into: Table | None = None,
    similarity: Similarity = "maxsim",
    device: str = "cpu",
    devices: Sequence[str] | None = None,
    tokens_per_list: int = TOKENS_PER_LIST,
    iterations: int = ITERATIONS,
    batch: int | None = None,
    seed: int = 0,
    replace: bool = False,
    progress: Callable[[str], None] = lambda _line: None,
) -> Trained:
    """Train lists centroids on a sample of the tokens of a column, and write them to a table.

    into: SCHEMA.TABLE; by default table_column_centroids beside the table. It must not exist,
    unless replace is true. similarity: that of the operator class of the index. devices: several,
    among which the sample is divided, in place of device. tokens_per_list: size of the sample.
    batch: tokens per list of a random batch for each iteration; None: all of the sample in each.
    progress is called with a line of text.
    """
    check_similarity(similarity)
    for name, number in (
        ("lists", lists),
        ("tokens_per_list", tokens_per_list),
        ("iterations", iterations),
        ("batch", batch),
    ):
        if number is not None and number < 1:
            raise ValueError(f"expected {name} of at least 1, not {number}")
    made = make_devices(device, devices)
    target = _target(conn, table, column, into, replace)
    started = time.monotonic()
    sample = sample_tokens(
        conn,
        table,
        column,
        lists * tokens_per_list,
        similarity=similarity,
        seed=seed,
        progress=lambda documents, tokens: progress(f"{documents} documents, {tokens} tokens read"),
    )
    read = time.monotonic()
    found = train_kmeans(
        sample.tokens,
        lists,
        made,
        iterations=iterations,
        batch=batch,
        seed=seed,
        progress=lambda done: progress(f"training, {100 * done:.0f}%"),
    )
    trained = time.monotonic()
    progress(f"writing {len(found.centroids)} centroids")
    _write(conn, target, found, sample.scale, replace)
    return Trained(
        table=".".join(_quote(part) for part in target),
        centroids=len(found.centroids),
        parents=len(found.parents),
        documents=sample.documents,
        tokens=sample.seen,
        sampled=len(sample.tokens),
        read_seconds=read - started,
        train_seconds=trained - read,
        write_seconds=time.monotonic() - trained,
    )


def _write(
    conn: psycopg.Connection[Any],
    target: tuple[str, str],
    found: Centroids,
    scale: float,
    replace: bool,
) -> None:
    from psycopg import sql  # noqa: PLC0415

    from .table import write_centroids  # noqa: PLC0415

    unscaled = Centroids(found.parents / scale, found.centroids / scale, found.parent_of)
    write_centroids(conn, sql.Identifier(*target), unscaled, replace=replace)


def _target(
    conn: psycopg.Connection[Any], table: Table, column: str, into: Table | None, replace: bool
) -> tuple[str, str]:
    """Return schema and name of the table of centroids. Fails before hours of work, not after."""
    from .._names import MAX_BYTES, identifier, quoted  # noqa: PLC0415

    with conn.cursor() as cursor:
        cursor.execute(
            "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.oid = %s::pg_catalog.regclass",
            (quoted(identifier(table)),),
        )
        schema, name = _values(cursor.fetchone())
        if into is None:
            name = f"{name}_{column}_centroids"
        else:
            parts = tuple(identifier(into)._obj)
            if len(parts) > 2:
                raise ValueError(f"expected TABLE or SCHEMA.TABLE, not {'.'.join(parts)}")
            schema, name = parts if len(parts) == 2 else (schema, parts[0])
        if len(name.encode()) > MAX_BYTES:
            raise ValueError(f"{name} is too long a name for a table: pass another one")
        target = f"{_quote(schema)}.{_quote(name)}"
        cursor.execute("SELECT pg_catalog.to_regclass(%s) IS NOT NULL", (target,))
        (exists,) = _values(cursor.fetchone())
        if not exists:
            # an error of the server if there is no such schema
            cursor.execute("SELECT pg_catalog.has_schema_privilege(%s, 'CREATE')", (schema,))
            (may_create,) = _values(cursor.fetchone())
            if not may_create:
                raise ValueError(f"no right to create table {target}")
    if exists and not replace:
        raise ValueError(f"table {target} exists: pass another name, or replace it")
    return schema, name


def _values(row: Any) -> tuple[Any, ...]:
    return tuple(row.values()) if isinstance(row, dict) else tuple(row)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
