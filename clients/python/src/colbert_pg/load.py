"""Load rows by COPY, and build an index, with progress. For psycopg 3.

Rows go in batches, each a transaction of its own. If the server or the driver refuses a row, the
batch is split until that row is alone: all others are loaded, and the row is named by its number.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
from psycopg import sql
from psycopg.pq import Format, TransactionStatus

from ._build import acreate_index, create_index
from ._cursors import async_cursor_of, cursor_of
from ._driver import is_row_fault
from ._loads import Exchange, Record, ResumeError, Rows
from ._names import Table, identifier
from ._progress import Progress, shown
from ._values import Convert, converter
from .psycopg import register_multivector, register_multivector_async
from .psycopg.register import is_registered

Row: TypeAlias = Sequence[Any]
OnBadRow: TypeAlias = Callable[["BadRowError"], None]

__all__ = ["BadRowError", "ResumeError", "acopy", "acreate_index", "copy", "create_index"]

BATCH = 1000
_LINE = re.compile(r"^COPY .*?, line (\d+)", re.MULTILINE)


class BadRowError(ValueError):
    """A row that was refused. The cause is the driver's error."""

    def __init__(self, number: int, row: Row, loaded: int, cause: BaseException) -> None:
        text = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        super().__init__(f"row {number}: {text}")
        self.number = number
        """The place of the row in rows, from 1."""
        self.row = row
        self.loaded = loaded
        """How many rows are loaded, all of those before this one but bad ones."""
        self.__cause__ = cause


@dataclass
class _RowFault:
    """Why a part was refused, and a guess at the row."""

    error: Exception
    offset: int | None


@dataclass
class _Part:
    """Consecutive rows, to be copied in one transaction."""

    first: int  # the number of its first row
    rows: list[Row]

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    def split(self, offset: int | None) -> list[_Part]:
        """Return two or three smaller parts; with an offset, one is that row alone."""
        if offset is None or not 0 <= offset < len(self.rows):
            cuts = [0, len(self.rows) // 2, len(self.rows)]
        else:
            cuts = [0, offset, offset + 1, len(self.rows)]
        return [
            _Part(self.first + start, self.rows[start:end])
            for start, end in itertools.pairwise(cuts)
            if start < end
        ]


Steps: TypeAlias = Generator[_Part, _RowFault | None, None]


class _Load:
    """How far a load is. It decides what to copy next, and does no I/O."""

    def __init__(self, done: int, on_bad_row: OnBadRow | None, show: Callable[[int], None]) -> None:
        self.done = done  # rows that are loaded, were loaded before, or are bad
        self.loaded = 0
        self._on_bad_row, self._show = on_bad_row, show
        show(done)

    def steps(self, rows: list[Row]) -> Steps:
        """Yield the parts of a batch, and receive the fault of each."""
        parts = [_Part(self.done + 1, rows)]
        while parts:
            part = parts.pop()
            fault = yield part
            if fault is not None and len(part.rows) > 1:
                parts += reversed(part.split(fault.offset))
                continue
            if fault is None:
                self.loaded += len(part.rows)
            else:
                self._refuse(part, fault)
            self.done = part.last
            self._show(self.done)

    def _refuse(self, part: _Part, fault: _RowFault) -> None:
        bad = BadRowError(part.first, part.rows[0], self.loaded, fault.error)
        if self._on_bad_row is None:
            raise bad
        self._on_bad_row(bad)


@dataclass(frozen=True)
class _Target:
    """The columns that are copied to."""

    statement: sql.Composed
    ncolumns: int
    types: list[int] | None  # of the columns, if the format is binary
    converters: dict[int, Convert]  # by the place of a column, for some

    def row(self, given: Row) -> Row:
        """Return the values of a row in the form that COPY takes."""
        if len(given) != self.ncolumns:
            raise ValueError(f"expected {self.ncolumns} values, not {len(given)}")
        if not self.converters:
            return given
        row = list(given)
        for place, convert in self.converters.items():
            if row[place] is not None:
                row[place] = convert(row[place])
        return row


_COLUMNS = """
    SELECT attname, coalesce(nullif(typbasetype, 0), atttypid)
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = atttypid
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ORDER BY attnum
"""
# Deferred constraints would name no batch.
_IMMEDIATE = "SET CONSTRAINTS ALL IMMEDIATE"


class _Job:
    """One call of copy: what is known without asking the server."""

    def __init__(
        self,
        conn: psycopg.BaseConnection[Any],
        table: Table,
        columns: Sequence[str] | None,
        resume: str | None,
    ) -> None:
        self.conn, self.columns = conn, columns
        self.table = identifier(table)
        self.record = Record(resume, self.table) if resume else None
        self.alone = conn.info.transaction_status == TransactionStatus.IDLE

    def name(self) -> str:
        return self.table.as_string(self.conn)

    def target(self, found: list[tuple[str, int]]) -> _Target:
        """Choose the columns among all of the table, and the format."""
        types = dict(found)
        columns = list(types) if self.columns is None else self.columns
        missing = [name for name in columns if name not in types]
        if missing:
            raise ValueError(f"table {self.name()} has no column {', '.join(missing)}")
        oids = [types[name] for name in columns]
        binary = all(self._has_dumper(oid) for oid in oids)
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
            self.table,
            sql.SQL(", ").join(sql.Identifier(name) for name in columns),
            sql.SQL("binary" if binary else "text"),
        )
        converters = {
            place: convert
            for place, oid in enumerate(oids)
            if (convert := converter(self.conn.adapters.types, oid))
        }
        return _Target(statement, len(columns), oids if binary else None, converters)

    def _has_dumper(self, oid: int) -> bool:
        try:
            self.conn.adapters.get_dumper_by_oid(oid, Format.BINARY)
        except psycopg.ProgrammingError:
            return False
        return True

    def begin(self) -> Exchange:
        if self.record:
            yield from self.record.begin()

    def before_copy(self) -> Exchange:
        if self.record:
            yield from self.record.hold()

    def after_copy(self, part: _Part) -> Exchange:
        """Yield the statements that end the transaction of a part."""
        if self.alone:
            yield _IMMEDIATE, ()
        if self.record:
            yield from self.record.advance(part.last)

    def end(self, done: int) -> Exchange:
        """Yield the statements that count bad rows at the end."""
        if self.record and self.record.done != done:
            yield from self.record.hold()
            yield from self.record.advance(done)

    def is_done(self, done: int) -> None:
        """Remember what a transaction has counted, once it has ended."""
        if self.record:
            self.record.done = done

    def fault_of(self, error: Exception, offset: int) -> _RowFault:
        """Return the fault of a row; raise the error if it is not about rows."""
        if self.conn.closed or isinstance(error, ResumeError):
            raise error
        state = getattr(error, "sqlstate", None)
        if state is None:  # the client's, while it wrote this row
            return _RowFault(error, offset)
        if not is_row_fault(state):
            raise error
        context = error.diag.context if isinstance(error, psycopg.Error) else None
        line = _LINE.search(context or "")
        return _RowFault(error, int(line[1]) - 1 if line else None)


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while found := list(itertools.islice(iterator, size)):
        yield found


def copy(
    conn: psycopg.Connection[Any],
    table: Table,
    rows: Iterable[Row],
    columns: Sequence[str] | None = None,
    *,
    total: int | None = None,
    progress: Progress = False,
    batch: int = BATCH,
    resume: str | None = None,
    on_bad_row: OnBadRow | None = None,
) -> int:
    """Copy rows into a table, and return how many were loaded.

    table: a name, "docs" or "public.docs", or a psycopg.sql.Identifier.
    columns: all but generated ones by default. A multivector may be an array of (tokens, dims); a
    string for json or jsonb is JSON text, and anything else is written as JSON.
    progress: True for a bar of tqdm, or a function that gets the number of rows done and total.
    batch: rows per transaction.
    resume: a name under which the number of rows done is kept in the table colbert_pg_loads, in
    the transactions of the batches. Called again with this name and the same rows, copy goes on
    where it stopped. ResumeError is raised if the name is of a load into another table, if the
    table was truncated meanwhile, or if another call with this name goes on.
    on_bad_row: called with the BadRowError of a refused row, and the load goes on. Without it, the
    error is raised as soon as the rows before it are loaded.
    """
    job = _Job(conn, table, columns, resume)
    if not is_registered(conn):
        register_multivector(conn)
    target, done = _prepare(conn, job)
    with shown(progress, total, " rows") as show:
        load = _Load(done, on_bad_row, show)
        for found in _batches(itertools.islice(rows, done, None), batch):
            steps = load.steps(found)
            part: _Part | None = next(steps)
            while part:
                part = _next_part(steps, _copy_part(conn, job, target, part))
    with conn.transaction(), cursor_of(conn) as cursor:
        _exchange(cursor, job.end(load.done))
    return load.loaded


def _next_part(steps: Steps, fault: _RowFault | None) -> _Part | None:
    try:
        return steps.send(fault)
    except StopIteration:
        return None


def _exchange(cursor: psycopg.Cursor[Any], exchange: Exchange) -> None:
    """Run statements, and hand over the rows of each."""
    statement = next(exchange, None)
    while statement:
        cursor.execute(*statement)
        statement = _next_statement(exchange, cursor.fetchall() if cursor.description else [])


def _next_statement(exchange: Exchange, rows: Rows) -> tuple[Any, tuple[Any, ...]] | None:
    try:
        return exchange.send(rows)
    except StopIteration:
        return None


def _prepare(conn: psycopg.Connection[Any], job: _Job) -> tuple[_Target, int]:
    with conn.transaction(), cursor_of(conn) as cursor:
        cursor.execute(_COLUMNS, (job.name(),))
        target = job.target(cursor.fetchall())
        _exchange(cursor, job.begin())
    return target, job.record.done if job.record else 0


def _copy_part(
    conn: psycopg.Connection[Any], job: _Job, target: _Target, part: _Part
) -> _RowFault | None:
    offset = 0
    try:
        with conn.transaction(), cursor_of(conn) as cursor:
            _exchange(cursor, job.before_copy())
            with cursor.copy(target.statement) as copy:
                if target.types:
                    copy.set_types(target.types)
                for offset, row in enumerate(part.rows):  # noqa: B007
                    copy.write_row(target.row(row))
            _exchange(cursor, job.after_copy(part))
    except Exception as e:
        return job.fault_of(e, offset)
    job.is_done(part.last)
    return None


async def acopy(
    conn: psycopg.AsyncConnection[Any],
    table: Table,
    rows: Iterable[Row] | AsyncIterable[Row],
    columns: Sequence[str] | None = None,
    *,
    batch: int = BATCH,
    on_bad_row: OnBadRow | None = None,
    progress: Progress = False,
    resume: str | None = None,
    total: int | None = None,
) -> int:
    """Do what copy does, for an asynchronous connection. rows may be asynchronous, too."""
    job = _Job(conn, table, columns, resume)
    if not is_registered(conn):
        await register_multivector_async(conn)
    target, done = await _aprepare(conn, job)
    with shown(progress, total, " rows") as show:
        load = _Load(done, on_bad_row, show)
        async for found in _abatches(rows, done, batch):
            steps = load.steps(found)
            part: _Part | None = next(steps)
            while part:
                part = _next_part(steps, await _acopy_part(conn, job, target, part))
    async with conn.transaction(), async_cursor_of(conn) as cursor:
        await _aexchange(cursor, job.end(load.done))
    return load.loaded


async def _abatches(
    rows: Iterable[Row] | AsyncIterable[Row], done: int, size: int
) -> AsyncIterator[list[Row]]:
    if not isinstance(rows, AsyncIterable):
        for found in _batches(itertools.islice(rows, done, None), size):
            yield found
        return
    number, found = 0, []
    async for row in rows:
        number += 1
        if number > done:
            found.append(row)
        if len(found) == size:
            yield found
            found = []
    if found:
        yield found


async def _aexchange(cursor: psycopg.AsyncCursor[Any], exchange: Exchange) -> None:
    statement = next(exchange, None)
    while statement:
        await cursor.execute(*statement)
        rows = await cursor.fetchall() if cursor.description else []
        statement = _next_statement(exchange, rows)


async def _aprepare(conn: psycopg.AsyncConnection[Any], job: _Job) -> tuple[_Target, int]:
    async with conn.transaction(), async_cursor_of(conn) as cursor:
        await cursor.execute(_COLUMNS, (job.name(),))
        target = job.target(await cursor.fetchall())
        await _aexchange(cursor, job.begin())
    return target, job.record.done if job.record else 0


async def _acopy_part(
    conn: psycopg.AsyncConnection[Any], job: _Job, target: _Target, part: _Part
) -> _RowFault | None:
    offset = 0
    try:
        async with conn.transaction(), async_cursor_of(conn) as cursor:
            await _aexchange(cursor, job.before_copy())
            async with cursor.copy(target.statement) as copy:
                if target.types:
                    copy.set_types(target.types)
                for offset, row in enumerate(part.rows):  # noqa: B007
                    await copy.write_row(target.row(row))
            await _aexchange(cursor, job.after_copy(part))
    except Exception as e:
        return job.fault_of(e, offset)
    job.is_done(part.last)
    return None
