"""The SQL of a job. Keys of rows stay on the server: a row is known by its entry in the queue.

In all statements, t is the table of texts, q its queue, and c the table of chunks. An entry of
the queue is a row whose embedding is missing or stale; without an error it waits.

psycopg takes %% for % in a statement with parameters, so all of these are run with parameters, and
names are escaped by _name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from psycopg import sql

from .job import PREFIX, Column, Job, Source

Sql = sql.Composable

LOCKS = 0x636F6C62  # the high half of the keys of advisory locks
_SCAN_LOCKS = LOCKS + 1


def _values(**types: str) -> sql.Composed:
    """Return rows v of parameters, an array per column. An empty type is the parameter's own."""
    arrays = [f"%s::pg_catalog.{name}[]" if name else "%s" for name in types.values()]
    return sql.SQL("ROWS FROM ({}) v({})").format(
        _comma(sql.SQL(f"pg_catalog.unnest({array})") for array in arrays),
        _comma(map(sql.Identifier, types)),
    )


def _escaped(name: str) -> str:
    return name.replace("%", "%%")


def _name(*parts: str) -> sql.Identifier:
    return sql.Identifier(*map(_escaped, parts))


def _comma(parts: Iterable[Sql]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _and(parts: Iterable[Sql]) -> sql.Composed:
    return sql.SQL(" AND ").join(parts)


def text_of(alias: Literal["OLD", "NEW", "t"], column: str) -> sql.Composed:
    """Return a column as text that compares by its characters, whatever its type and collation."""
    template = '({}.{}::pg_catalog.text COLLATE pg_catalog."C")'
    return sql.SQL(template).format(sql.SQL(alias), sql.Identifier(column))


def _columns(alias: str, names: Iterable[str]) -> list[Sql]:
    return [_name(alias, name) for name in names]


@dataclass(frozen=True)
class Statements:
    """The SQL of a registered job. number: that of its registration."""

    job: Job
    source: Source
    column: Column
    number: int

    @property
    def own_name(self) -> str:
        return f"{PREFIX}_{self.number}"

    @property
    def queue(self) -> sql.Identifier:
        return _name(self.source.schema, self.own_name)

    @property
    def encoder_lock(self) -> int:
        """The advisory lock under which the encoder does not change."""
        return LOCKS << 32 | self.column.table_oid

    @property
    def scan_lock(self) -> int:
        return _SCAN_LOCKS << 32 | self.column.table_oid

    @cached_property
    def key_names(self) -> list[str]:
        """The names of the key in the queue."""
        return [f"key{number}" for number in range(1, len(self.source.keys) + 1)]

    @cached_property
    def parent_names(self) -> list[str]:
        return parent_names(self.source)

    def _same(self, one: str, names: list[str], other: str, others: Iterable[str]) -> sql.Composed:
        pairs = zip(_columns(one, names), _columns(other, others), strict=True)
        return _and(sql.SQL("{} = {}").format(*pair) for pair in pairs)

    @cached_property
    def _queue_is_table(self) -> sql.Composed:
        return self._same("q", self.key_names, "t", self.source.keys)

    @cached_property
    def _queue_is_chunk(self) -> sql.Composed:
        return self._same("q", self.key_names, "c", self.parent_names)

    def _format(self, template: str, **parts: Sql) -> sql.Composed:
        return sql.SQL(template).format(
            queue=self.queue,
            table=_name(self.source.schema, self.source.name),
            target=_name(self.column.schema, self.column.name),
            doc=_name(self.job.column),
            text=text_of("t", _escaped(self.job.text)),
            keys=_comma(map(_name, self.key_names)),
            q_keys=_comma(_columns("q", self.key_names)),
            t_keys=_comma(_columns("t", self.source.keys)),
            queue_is_table=self._queue_is_table,
            **parts,
        )

    # What is stale

    @cached_property
    def enqueue_missing(self) -> sql.Composed:
        """Add the rows without an embedding."""
        if self.job.chunks is None:
            missing = self._format("t.{doc} IS NULL")
        else:
            missing = self._format(
                "NOT EXISTS (SELECT FROM {target} c WHERE {same})",
                same=self._same("c", self.parent_names, "t", self.source.keys),
            )
        return self._format(
            """
            INSERT INTO {queue} ({keys}) SELECT {t_keys} FROM {table} t
            WHERE t.{column} IS NOT NULL AND {missing}
                AND NOT EXISTS (SELECT FROM {queue} q WHERE {queue_is_table})
            """,
            column=_name(self.job.text),
            missing=missing,
        )

    @cached_property
    def enqueue_all(self) -> sql.Composed:
        return self._format(
            """
            INSERT INTO {queue} ({keys}) SELECT {t_keys} FROM {table} t
            WHERE t.{column} IS NOT NULL AND NOT EXISTS (
                SELECT FROM {queue} q WHERE {queue_is_table} AND q.error IS NULL
            )
            """,
            column=_name(self.job.text),
        )

    @cached_property
    def enqueue_failed(self) -> sql.Composed:
        """Add the rows with an error: all (parameter true), or those whose text has changed."""
        return self._format(
            """
            INSERT INTO {queue} ({keys}) SELECT DISTINCT {q_keys}
            FROM {queue} q JOIN {table} t ON {queue_is_table}
            WHERE q.error IS NOT NULL
                AND (%s OR q.text_hash IS DISTINCT FROM
                    pg_catalog.sha256(pg_catalog.convert_to({text}, 'UTF8')))
                AND NOT EXISTS (SELECT FROM {queue} o WHERE {same} AND o.error IS NULL)
            """,
            same=self._same("o", self.key_names, "q", self.key_names),
        )

    @cached_property
    def forget_vanished(self) -> sql.Composed:
        """Remove the errors of rows that no longer exist."""
        return self._format(
            """
            DELETE FROM {queue} WHERE id IN (
                SELECT q.id FROM {queue} q
                WHERE q.error IS NOT NULL
                    AND NOT EXISTS (SELECT FROM {table} t WHERE {queue_is_table})
                FOR UPDATE SKIP LOCKED
            )
            """
        )

    # A batch

    @cached_property
    def take(self) -> sql.Composed:
        return self._format(
            """
            SELECT q.id FROM {queue} q WHERE q.error IS NULL AND q.due <= pg_catalog.now()
            ORDER BY q.due, q.id LIMIT %s FOR UPDATE SKIP LOCKED
            """
        )

    @cached_property
    def take_same(self) -> sql.Composed:
        """Take the other entries of the rows in a batch, too."""
        return self._format(
            """
            SELECT q.id FROM {queue} q JOIN (
                SELECT DISTINCT {keys} FROM {queue} WHERE id = ANY (%(ids)s)
            ) o ON {same}
            WHERE q.id <> ALL (%(ids)s) FOR UPDATE OF q SKIP LOCKED
            """,
            same=self._same("o", self.key_names, "q", self.key_names),
        )

    @cached_property
    def read(self) -> sql.Composed:
        """Return the entries, the key as text, whether there is a row, and its text."""
        return self._format(
            """
            SELECT q.ids, ARRAY[{shown}], t.{key} IS NOT NULL, {text}
            FROM (
                SELECT {keys}, pg_catalog.array_agg(id ORDER BY id) AS ids
                FROM {queue} WHERE id = ANY (%s) GROUP BY {keys}
            ) q LEFT JOIN {table} t ON {queue_is_table}
            ORDER BY q.ids
            """,
            shown=self._shown,
            key=_name(self.source.keys[0]),
        )

    @cached_property
    def _shown(self) -> sql.Composed:
        return _comma(
            sql.SQL("{}::pg_catalog.text").format(name) for name in _columns("q", self.key_names)
        )

    @cached_property
    def lock_unchanged(self) -> sql.Composed:
        """Lock the rows whose text has not changed since it was read. Do not wait for locks."""
        return self._format(
            """
            SELECT v.id FROM {values}
            JOIN {queue} q ON q.id = v.id JOIN {table} t ON {queue_is_table}
            WHERE {text} IS NOT DISTINCT FROM (v.text COLLATE "C")
            FOR NO KEY UPDATE OF t SKIP LOCKED
            """,
            values=_values(id="int8", text="text"),
        )

    @cached_property
    def update(self) -> sql.Composed:
        return self._format(
            """
            UPDATE {table} t SET {doc} = v.doc FROM {queue} q JOIN {values} ON v.id = q.id
            WHERE {queue_is_table} AND q.id = ANY (%s)
            """,
            values=_values(id="int8", doc=""),
        )

    @cached_property
    def clear(self) -> sql.Composed:
        """Remove the embeddings of rows."""
        if self.job.chunks is not None:
            return self._format(
                "DELETE FROM {target} c USING {queue} q WHERE q.id = ANY (%s) AND {same}",
                same=self._queue_is_chunk,
            )
        return self._format(
            """
            UPDATE {table} t SET {doc} = NULL FROM {queue} q
            WHERE q.id = ANY (%s) AND {queue_is_table} AND t.{doc} IS NOT NULL
            """
        )

    @cached_property
    def forget_same(self) -> sql.Composed:
        """Remove the other entries that wait for rows, such as those of triggers of clear."""
        return self._format(
            """
            DELETE FROM {queue} WHERE id IN (
                SELECT o.id FROM {queue} o JOIN {queue} q ON {same}
                WHERE q.id = ANY (%(ids)s) AND o.id <> ALL (%(ids)s) AND o.error IS NULL
                FOR UPDATE OF o SKIP LOCKED
            )
            """,
            same=self._same("o", self.key_names, "q", self.key_names),
        )

    @cached_property
    def insert_chunks(self) -> sql.Composed:
        return self._format(
            """
            INSERT INTO {target} ({parents}, chunk, start_char, end_char, {doc})
            SELECT {q_keys}, v.chunk, v.start_char, v.end_char, v.doc
            FROM {queue} q JOIN {values} ON v.id = q.id
            WHERE q.id = ANY (%s)
            """,
            values=_values(id="int8", chunk="int4", start_char="int4", end_char="int4", doc=""),
            parents=_comma(map(_name, self.parent_names)),
        )

    @cached_property
    def finish(self) -> sql.Composed:
        return self._format("DELETE FROM {queue} WHERE id = ANY (%s)")

    @cached_property
    def fail(self) -> sql.Composed:
        return self._format(
            """
            UPDATE {queue} q SET error = v.error, failed_at = pg_catalog.clock_timestamp(),
                text_hash = pg_catalog.sha256(pg_catalog.convert_to(v.text, 'UTF8'))
            FROM {values} WHERE q.id = v.id AND q.id = ANY (%s)
            """,
            values=_values(id="int8", error="text", text="text"),
        )

    @cached_property
    def defer(self) -> sql.Composed:
        """Try entries again later: after half a second, and up to a minute."""
        return self._format(
            """
            UPDATE {queue} SET attempts = LEAST(attempts + 1, 7),
                due = pg_catalog.clock_timestamp()
                    + LEAST(60, 0.5 * 2 ^ attempts) * interval '1 second'
            WHERE id = ANY (%s)
            """
        )

    # How it stands

    @cached_property
    def waiting(self) -> sql.Composed:
        """Return how many entries wait, and in how many seconds the first one is due."""
        return self._format(
            """
            SELECT pg_catalog.count(*), pg_catalog.date_part(
                'epoch', pg_catalog.min(due) - pg_catalog.clock_timestamp()
            ) FROM {queue} WHERE error IS NULL
            """
        )

    @cached_property
    def failures(self) -> sql.Composed:
        return self._format(
            """
            SELECT DISTINCT ON ({q_keys}) ARRAY[{shown}], q.error, q.failed_at
            FROM {queue} q JOIN {table} t ON {queue_is_table} WHERE q.error IS NOT NULL
            ORDER BY {q_keys}, q.id DESC
            """,
            shown=self._shown,
        )


def parent_names(source: Source) -> list[str]:
    """Return the names of the key in a table of chunks."""
    return [f"parent_{name}" for name in source.keys]
