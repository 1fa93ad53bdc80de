"""The record of a load that can be resumed: a row of the table colbert_pg_loads.

Nothing here talks to a server: a method yields statements, and gets the rows of each. Whoever runs
them keeps the statements of a call in one transaction. No lock outlives a transaction, so a pool
may give each one another session. In place of one, each transaction of a load locks the record and
finds in it the number that this load wrote last: of two loads under a name, one stops with an error
before it writes a row.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias

from psycopg import sql

from ._names import quoted

Rows: TypeAlias = list[tuple[Any, ...]]
Exchange: TypeAlias = Generator[tuple[Any, tuple[Any, ...]], Rows, None]

LOADS = "colbert_pg_loads"

# The files of a table. TRUNCATE gives it others, and so does all that rewrites a table.
_STORAGE = """
    coalesce(
        (SELECT pg_catalog.string_agg(
            pg_catalog.pg_relation_filenode(relid)::pg_catalog.text, ' ' ORDER BY relid
        ) FROM pg_catalog.pg_partition_tree({relation}) WHERE isleaf),
        pg_catalog.pg_relation_filenode({relation})::pg_catalog.text
    )
"""
_COLUMNS = """
    SELECT attname FROM pg_catalog.pg_attribute
    WHERE attrelid = pg_catalog.to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""
# Sessions that create the table at once wait for each other: IF NOT EXISTS lets one of them fail.
_LOCK = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(%s, 0))"
_CREATE = (
    f"CREATE TABLE IF NOT EXISTS {LOADS} "
    "(name text PRIMARY KEY, rows bigint NOT NULL, relation regclass, storage text)"
)
# A table of an earlier version has neither column. NULL is unknown.
_ALTER = (
    f"ALTER TABLE {LOADS} ADD COLUMN IF NOT EXISTS relation regclass, "
    "ADD COLUMN IF NOT EXISTS storage text"
)
_BEGIN = f"INSERT INTO {LOADS} (name, rows) VALUES (%s, 0) ON CONFLICT (name) DO NOTHING"
_FIND = f"""
    SELECT rows, relation IS NULL OR relation = %s::regclass, relation::text,
        storage IS DISTINCT FROM {_STORAGE.format(relation="relation")},
        pg_catalog.has_any_column_privilege(%s::regclass, 'SELECT')
    FROM {LOADS} WHERE name = %s
"""
_HOLD = f"SELECT rows FROM {LOADS} WHERE name = %s FOR UPDATE"
_ADVANCE = f"""
    UPDATE {LOADS} SET rows = %s, relation = t.relation,
        storage = {_STORAGE.format(relation="t.relation")}
    FROM (SELECT %s::regclass) t(relation) WHERE name = %s
"""


class ResumeError(ValueError):
    """A load that cannot go on where the one of the same name stopped."""


class Record:
    """The record of a load under a name. done: the number of rows that it counts."""

    def __init__(self, name: str, table: sql.Identifier) -> None:
        self.done = 0
        self._name, self._table, self._table_name = name, table, quoted(table)

    def begin(self) -> Exchange:
        """Find the record, or make it, and refuse one that is of other rows."""
        found = yield _COLUMNS, (LOADS,)
        if not {("relation",), ("storage",)} <= set(found):
            yield _LOCK, (LOADS,)
            yield _CREATE, ()
            yield _ALTER, ()
        yield _BEGIN, (self._name,)
        found = yield _FIND, (self._table_name, self._table_name, self._name)
        [(self.done, is_same, former, has_moved, is_readable)] = found
        if self.done == 0:
            return
        if not is_same:
            raise ResumeError(
                f'"{self._name}" is the name of a load into another table, {former}, perhaps one '
                f"that was dropped: choose another name, or DELETE FROM {LOADS} WHERE name = ..."
            )
        if former is None or not has_moved or not is_readable:
            return
        [(is_empty,)] = yield (
            sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(self._table),
            (),
        )
        if is_empty:
            raise ResumeError(
                f'{self.done} rows were loaded under the name "{self._name}", but table '
                f"{self._table_name} is empty, by TRUNCATE perhaps: to load them again, "
                f"DELETE FROM {LOADS} WHERE relation = ..."
            )

    def hold(self) -> Exchange:
        """Lock the record until the transaction ends, and see that no other load wrote it."""
        found = yield _HOLD, (self._name,)
        if found != [(self.done,)]:
            raise ResumeError(f'another load under the name "{self._name}" goes on')

    def advance(self, done: int) -> Exchange:
        """Count rows as done. Once the transaction has ended well, set done."""
        yield _ADVANCE, (done, self._table_name, self._name)
