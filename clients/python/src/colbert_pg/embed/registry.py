"""Registrations: which column follows which text, by which encoder, and the queue of stale rows.

All of it is in the schema of the table of texts: the table colbert_pg_embeddings, with a row per
registration; and for each, a queue, and if it is installed, a function and two triggers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from .._names import identifier
from .job import PREFIX, REGISTRY, EmbedError, Job, find_column, find_source, one, relation
from .statements import LOCKS, Statements, parent_names, text_of

CHANNEL = PREFIX

_REGISTER_LOCKS = LOCKS + 2
_LOCK = "SELECT pg_catalog.pg_advisory_xact_lock(%s)"
_LOCK_SCHEMA = "SELECT pg_catalog.pg_advisory_xact_lock(%s, pg_catalog.hashtext(%s))"
_INSTALLED = """
    SELECT pg_catalog.count(*) >= 2 FROM pg_catalog.pg_trigger
    WHERE tgrelid = %s AND tgname = ANY (%s::pg_catalog.name[]) AND tgenabled IN ('O', 'A')
"""
_CREATE_REGISTRY = """
    CREATE TABLE {} (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        source regclass NOT NULL,
        text_column name NOT NULL,
        target regclass NOT NULL,
        doc_column name NOT NULL,
        encoder text,
        UNIQUE (target, doc_column)
    )
"""
_CREATE_QUEUE = """
    CREATE TABLE {queue} AS SELECT {keys} FROM {table} WITH NO DATA;
    ALTER TABLE {queue} {not_null},
        ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        ADD COLUMN due timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
        ADD COLUMN attempts integer NOT NULL DEFAULT 0,
        ADD COLUMN error text,
        ADD COLUMN failed_at timestamp with time zone,
        ADD COLUMN text_hash bytea;
    CREATE INDEX ON {queue} (due, id) WHERE error IS NULL;
    CREATE INDEX ON {queue} ({names});
    COMMENT ON TABLE {queue} IS {comment}
"""
_CREATE_CHUNKS = """
    CREATE TABLE {target} AS SELECT {keys} FROM {table} WITH NO DATA;
    ALTER TABLE {target}
        ADD COLUMN chunk integer NOT NULL,
        ADD COLUMN start_char integer NOT NULL,
        ADD COLUMN end_char integer NOT NULL,
        ADD COLUMN {doc} {schema}.multivector({dims}, {element}) NOT NULL,
        ADD PRIMARY KEY ({names}, chunk),
        ADD FOREIGN KEY ({names}) REFERENCES {table} ({source_keys})
            ON UPDATE CASCADE ON DELETE CASCADE
"""
_FUNCTION = """
BEGIN
    INSERT INTO {queue} ({names}) VALUES ({keys});
    PERFORM pg_catalog.pg_notify({channel}, '');
    RETURN NEW;
END
"""
_INSTALL = """
    CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER
        SET search_path = pg_catalog, pg_temp AS {body};
    CREATE OR REPLACE TRIGGER {on_insert} AFTER INSERT ON {table}
        FOR EACH ROW WHEN ({inserted}) EXECUTE FUNCTION {function}();
    CREATE OR REPLACE TRIGGER {on_update} AFTER UPDATE ON {table}
        FOR EACH ROW WHEN ({updated}) EXECUTE FUNCTION {function}();
    GRANT INSERT ({names}) ON {queue} TO PUBLIC;
    COMMENT ON FUNCTION {function}() IS {comment}
"""
# A row that moves to another partition has no AFTER UPDATE triggers.
_INSTALL_MOVED = """
    CREATE OR REPLACE TRIGGER {on_move} BEFORE UPDATE ON {table}
        FOR EACH ROW WHEN ({moved}) EXECUTE FUNCTION {function}()
"""
_DROP_TRIGGERS = """
    DROP TRIGGER IF EXISTS {on_insert} ON {table};
    DROP TRIGGER IF EXISTS {on_update} ON {table};
    DROP TRIGGER IF EXISTS {on_move} ON {table}
"""
_DROP = """
    DROP FUNCTION IF EXISTS {own}();
    DROP TABLE IF EXISTS {own};
    DELETE FROM {registry} WHERE id = {number}
"""
_VANISHED = """
    SELECT r.id, n.nspname, s.relname
    FROM {} r LEFT JOIN pg_catalog.pg_class s ON s.oid = r.source
        LEFT JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
    WHERE s.oid IS NULL OR NOT EXISTS (SELECT FROM pg_catalog.pg_class t WHERE t.oid = r.target)
"""

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Failure:
    """A row whose text could not be encoded, or whose embedding was refused."""

    key: dict[str, str]
    """The names of the primary key's columns, and their values as text."""
    reason: str
    at: datetime | None = None

    def __str__(self) -> str:
        return (
            f"{', '.join(f'{name} = {value}' for name, value in self.key.items())}: {self.reason}"
        )


@dataclass(frozen=True)
class Status:
    """How a job stands."""

    encoder: str | None
    """The identity of the encoder, None before the first one."""
    waiting: int
    """Entries in the queue: rows whose embedding is missing or stale. A row may have several."""
    failed: int
    """Rows with an error."""
    installed: bool
    """Whether the triggers are there, and enabled."""
    queue: str
    """The name of the queue, for GRANT."""


def register(conn: Connection, job: Job, dims: int | None = None) -> Statements:
    """Return the statements of a job, which is registered if it was not.

    dims: those of the encoder. Without them, a table of chunks is not created.
    """
    with conn.transaction():
        source = find_source(conn, job)
        conn.execute(_LOCK_SCHEMA, (_REGISTER_LOCKS, source.schema))
        column = find_column(conn, job, source)
        if column is None:
            if dims is None:
                raise EmbedError(f"table {_chunks_name(conn, job)} not found: embed creates it")
            _create_chunks(conn, job, source, dims)
            column = find_column(conn, job, source)
            assert column is not None
        if dims is not None and column.dims not in (None, dims):
            raise EmbedError(
                f'expected an encoder with {column.dims} dims, as column "{job.column}" has, '
                f"not {dims}"
            )
        found = _find(conn, source.schema, column.table_oid, job.column)
        if found is not None:
            number, followed = found
            if followed != (source.oid, job.text):
                raise EmbedError(
                    f'column "{job.column}" follows another text: uninstall that first'
                )
            return Statements(job, source, column, number)
        return _create(conn, job, source, column)


def lookup(conn: Connection, job: Job) -> Statements:
    """Return the statements of a registered job."""
    source = find_source(conn, job)
    column = find_column(conn, job, source)
    found = column and _find(conn, source.schema, column.table_oid, job.column)
    if column is None or not found:
        raise EmbedError(f"nothing is embedded from table {identifier(job.table).as_string(conn)}")
    return Statements(job, source, column, found[0])


def install(conn: Connection, job: Job) -> None:
    """Have triggers put each row into the queue whose text is new or changes.

    Whoever writes to the table needs no further right. It may be called again.
    """
    with conn.transaction():
        statements = register(conn, job)
        conn.execute(_install(conn, statements))


def uninstall(conn: Connection, job: Job) -> None:
    """Remove the triggers, their function, the queue and the registration; embeddings stay."""
    with conn.transaction():
        table, target = relation(conn, job.table), relation(conn, job.chunks or job.table)
        if table:
            conn.execute(_LOCK_SCHEMA, (_REGISTER_LOCKS, table[1]))
        found = table and target and _find(conn, table[1], target[0], job.column)
        if not table or not found:
            raise EmbedError(f"nothing is embedded from {identifier(job.table).as_string(conn)}")
        number, _ = found
        schema, name = table[1:3]
        registry = sql.Identifier(schema, REGISTRY)
        _drop(conn, schema, number, sql.Identifier(schema, name))
        if one(conn, sql.SQL("SELECT FROM {} LIMIT 1").format(registry)) is None:
            conn.execute(sql.SQL("DROP TABLE {}").format(registry))


def status(conn: Connection, job: Job) -> Status:
    """Return how a job stands."""
    statements = lookup(conn, job)
    with conn.transaction():
        waiting, _ = one(conn, statements.waiting, ())
        return Status(
            encoder_of(conn, statements),
            waiting,
            len(failures(conn, job)),
            is_installed(conn, statements),
            sql.Identifier(statements.source.schema, statements.own_name).as_string(conn),
        )


def failures(conn: Connection, job: Job) -> list[Failure]:
    """Return the rows with an error, in the order of their keys."""
    statements = lookup(conn, job)
    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(statements.failures, ()).fetchall()
    return [
        Failure(dict(zip(statements.source.keys, key, strict=True)), error, at)
        for key, error, at in rows
    ]


def is_installed(conn: Connection, statements: Statements) -> bool:
    names = [
        trigger.as_string(conn).strip('"') for trigger in _triggers(statements.own_name).values()
    ]
    [installed] = one(conn, _INSTALLED, (statements.source.oid, names))
    return bool(installed)


def encoder_of(conn: Connection, statements: Statements) -> str | None:
    [encoder] = one(
        conn,
        sql.SQL("SELECT encoder FROM {} WHERE id = {}").format(
            sql.Identifier(statements.source.schema, REGISTRY), statements.number
        ),
    )
    return encoder  # type: ignore[no-any-return]


def mark_stale(
    conn: Connection, statements: Statements, identity: str, *, everything: bool, failed: bool
) -> str | None:
    """Fill the queue before work begins, and return the former encoder if it was another.

    everything: all rows are stale. failed: try the rows with an error again.
    """
    with conn.transaction():
        conn.execute(_LOCK, (statements.encoder_lock,))
        former = encoder_of(conn, statements)
        if former != identity:
            conn.execute(
                sql.SQL("UPDATE {} SET encoder = {} WHERE id = {}").format(
                    sql.Identifier(statements.source.schema, REGISTRY),
                    identity,
                    statements.number,
                )
            )
        changed = former not in (None, identity)
        if changed or everything:
            conn.execute(statements.enqueue_all, ())
    scan(conn, statements, failed=failed)
    return former if changed else None


def scan(conn: Connection, statements: Statements, *, failed: bool = False) -> None:
    """Put rows without an embedding into the queue, and rows with an error whose text changed.

    failed: all rows with an error.
    """
    with conn.transaction():
        conn.execute(_LOCK, (statements.scan_lock,))
        conn.execute(statements.forget_vanished, ())
        conn.execute(statements.enqueue_missing, ())
        conn.execute(statements.enqueue_failed, (failed,))


def _chunks_name(conn: Connection, job: Job) -> str:
    assert job.chunks is not None
    return identifier(job.chunks).as_string(conn)


def _find(
    conn: Connection, schema: str, target: int, column: str
) -> tuple[int, tuple[int, str]] | None:
    """Return the number of a registration, and the oid of its table and its text's column."""
    registry = sql.Identifier(schema, REGISTRY)
    [found] = one(conn, "SELECT pg_catalog.to_regclass(%s)", (registry.as_string(conn),))
    if found is None:
        return None
    row = one(
        conn,
        sql.SQL(
            "SELECT id, source::pg_catalog.oid, text_column FROM {} "
            "WHERE target = {}::pg_catalog.oid AND doc_column = {}"
        ).format(registry, target, column),
    )
    return None if row is None else (row[0], (row[1], row[2]))


def _drop(conn: Connection, schema: str, number: int, table: sql.Identifier | None = None) -> None:
    """Remove what belongs to a registration. table: that of its texts, if it exists."""
    own_name = f"{PREFIX}_{number}"
    if table is not None:
        conn.execute(sql.SQL(_DROP_TRIGGERS).format(table=table, **_triggers(own_name)))
    own, registry = sql.Identifier(schema, own_name), sql.Identifier(schema, REGISTRY)
    conn.execute(sql.SQL(_DROP).format(own=own, registry=registry, number=number))


def _drop_vanished(conn: Connection, schema: str) -> None:
    """Remove the registrations whose tables have been dropped."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(sql.SQL(_VANISHED).format(sql.Identifier(schema, REGISTRY)))
        for number, *name in cursor.fetchall():
            _drop(conn, schema, number, sql.Identifier(*name) if name[1] else None)


def _create_chunks(conn: Connection, job: Job, source: Any, dims: int) -> None:
    assert job.chunks is not None
    names = [sql.Identifier(name) for name in parent_names(source)]
    keys = [sql.Identifier(name) for name in source.keys]
    conn.execute(
        sql.SQL(_CREATE_CHUNKS).format(
            target=identifier(job.chunks),
            table=source.table,
            keys=_renamed(keys, names),
            names=sql.SQL(", ").join(names),
            source_keys=sql.SQL(", ").join(keys),
            doc=sql.Identifier(job.column),
            schema=sql.Identifier(source.extension_schema),
            dims=dims,
            element=sql.Identifier(job.element),
        )
    )


def _create(conn: Connection, job: Job, source: Any, column: Any) -> Statements:
    registry = sql.Identifier(source.schema, REGISTRY)
    [found] = one(conn, "SELECT pg_catalog.to_regclass(%s)", (registry.as_string(conn),))
    if found is None:
        conn.execute(sql.SQL(_CREATE_REGISTRY).format(registry))
    else:
        _drop_vanished(conn, source.schema)
    [number] = one(
        conn,
        sql.SQL(
            "INSERT INTO {} (source, text_column, target, doc_column) "
            "VALUES ({}::pg_catalog.oid, {}, {}::pg_catalog.oid, {}) RETURNING id"
        ).format(registry, source.oid, job.text, column.table_oid, job.column),
    )
    statements = Statements(job, source, column, number)
    keys = [sql.Identifier(name) for name in source.keys]
    names = [sql.Identifier(name) for name in statements.key_names]
    comment = f"rows of {source.name} whose {job.column} does not follow {job.text} yet"
    conn.execute(
        sql.SQL(_CREATE_QUEUE).format(
            queue=sql.Identifier(source.schema, statements.own_name),
            table=source.table,
            keys=_renamed(keys, names),
            not_null=sql.SQL(", ").join(
                sql.SQL("ALTER COLUMN {} SET NOT NULL").format(name) for name in names
            ),
            names=sql.SQL(", ").join(names),
            comment=comment,
        )
    )
    return statements


def _renamed(keys: list[sql.Identifier], names: list[sql.Identifier]) -> sql.Composed:
    pairs = zip(keys, names, strict=True)
    return sql.SQL(", ").join(sql.SQL("{} AS {}").format(*pair) for pair in pairs)


def _triggers(own_name: str) -> dict[str, sql.Identifier]:
    return {
        "on_insert": sql.Identifier(f"{own_name}_insert"),
        "on_update": sql.Identifier(f"{own_name}_update"),
        "on_move": sql.Identifier(f"{own_name}_move"),
    }


def _install(conn: Connection, statements: Statements) -> sql.Composed:
    job, source = statements.job, statements.source
    own = sql.Identifier(source.schema, statements.own_name)
    names = sql.SQL(", ").join(map(sql.Identifier, statements.key_names))
    body = sql.SQL(_FUNCTION).format(
        queue=own,
        names=names,
        keys=sql.SQL(", ").join(
            sql.SQL("NEW.{}").format(sql.Identifier(key)) for key in source.keys
        ),
        channel=CHANNEL,
    )
    template = f"{_INSTALL};{_INSTALL_MOVED}" if source.is_partitioned else _INSTALL
    return sql.SQL(template).format(
        function=own,
        queue=own,
        table=source.table,
        names=names,
        body=body.as_string(conn),
        inserted=_inserted(job),
        updated=_updated(job, source.keys),
        moved=sql.SQL(" OR ").join(map(_changed, source.keys)),
        comment=f"puts rows of {source.name} whose {job.text} changed into a queue",
        **_triggers(statements.own_name),
    )


def _inserted(job: Job) -> sql.Composed:
    """Return which new rows are put into the queue: a row may come with its embedding."""
    has_text = sql.SQL("NEW.{} IS NOT NULL").format(sql.Identifier(job.text))
    if job.chunks is not None:
        return sql.Composed([has_text])
    return sql.SQL("{} AND NEW.{} IS NULL").format(has_text, sql.Identifier(job.column))


def _updated(job: Job, keys: tuple[str, ...]) -> sql.Composed:
    """Return which updated rows are put into the queue.

    Those whose text or key changed, by whatever: the column of the text may be generated, or set
    by another trigger. And those whose embedding was set to NULL.
    """
    conditions = list(map(_changed, (job.text, *keys)))
    if job.chunks is None:
        conditions.append(
            sql.SQL("({text} IS NOT NULL AND NEW.{doc} IS NULL AND OLD.{doc} IS NOT NULL)").format(
                text=text_of("NEW", job.text), doc=sql.Identifier(job.column)
            )
        )
    return sql.SQL(" OR ").join(conditions)


def _changed(column: str) -> sql.Composed:
    return sql.SQL("{} IS DISTINCT FROM {}").format(text_of("OLD", column), text_of("NEW", column))
