"""CREATE INDEX, with progress."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import psycopg
from psycopg import sql

from ._names import MAX_BYTES, Table, identifier, object_name
from ._progress import make_bar

Method: TypeAlias = Literal["colbert_hnsw", "colbert_ivf"]
BuildProgress: TypeAlias = bool | Callable[[str, int, int], None]

_POLL_SECONDS = 0.2
_PROGRESS = """
    SELECT phase, CASE WHEN tuples_total > 0 THEN tuples_done ELSE blocks_done END,
        CASE WHEN tuples_total > 0 THEN tuples_total ELSE blocks_total END
    FROM pg_catalog.pg_stat_progress_create_index WHERE pid = %s
"""


@dataclass(frozen=True)
class _Index:
    """An index to be created."""

    table: sql.Identifier
    column: str
    method: Method
    opclass: str | None
    name: str
    concurrently: bool
    options: dict[str, Any]

    def statement(self) -> sql.Composed:
        return sql.SQL("CREATE INDEX {}{} ON {} USING {} ({}{}){}").format(
            sql.SQL("CONCURRENTLY " if self.concurrently else ""),
            sql.Identifier(self.name),
            self.table,
            sql.Identifier(self.method),
            sql.Identifier(self.column),
            sql.SQL(" {}").format(sql.Identifier(self.opclass)) if self.opclass else sql.SQL(""),
            _with(self.options),
        )


def create_index(
    conn: psycopg.Connection[Any],
    table: Table,
    column: str = "doc",
    *,
    method: Method = "colbert_hnsw",
    opclass: str | None = None,
    name: str | None = None,
    concurrently: bool = False,
    progress: BuildProgress = False,
    **options: Any,
) -> str:
    """Create an index on a column, and return its name.

    name: TABLE_COLUMN_idx by default, with shorter parts if it has more than 63 bytes.
    options: those of CREATE INDEX ... WITH, such as quantizer="bit".
    progress: True for a bar of tqdm, or a function that gets the phase, what of it is done, and its
    total, 0 if that is not known. It is watched through a connection of its own.
    """
    index = _index(
        table,
        column,
        method=method,
        opclass=opclass,
        name=name,
        concurrently=concurrently,
        **options,
    )
    if progress is False:
        conn.execute(index.statement())
    else:
        with _watched(conn, progress):
            conn.execute(index.statement())
    return index.name


async def acreate_index(
    conn: psycopg.AsyncConnection[Any],
    table: Table,
    column: str = "doc",
    *,
    progress: BuildProgress = False,
    **arguments: Any,
) -> str:
    """Do what create_index does, for an asynchronous connection and with the same arguments.

    A function that progress names is called by another thread.
    """
    index = _index(table, column, **arguments)
    if progress is False:
        await conn.execute(index.statement())
        return index.name
    watch = _watched(conn, progress)
    await asyncio.to_thread(watch.__enter__)
    try:
        await conn.execute(index.statement())
    finally:
        await asyncio.to_thread(watch.__exit__, None, None, None)
    return index.name


def _index(
    table: Table,
    column: str,
    *,
    concurrently: bool = False,
    method: Method = "colbert_hnsw",
    name: str | None = None,
    opclass: str | None = None,
    **options: Any,
) -> _Index:
    on = identifier(table)
    name = name or object_name(on._obj[-1], column, "idx")
    if len(name.encode()) > MAX_BYTES:
        raise ValueError(f"expected name of at most {MAX_BYTES} bytes, not {len(name.encode())}")
    return _Index(on, column, method, opclass, name, concurrently, options)


def _with(options: dict[str, Any]) -> sql.Composable:
    if not options:
        return sql.SQL("")
    pairs = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(str(value)))
        for name, value in options.items()
    ]
    return sql.SQL(" WITH ({})").format(sql.SQL(", ").join(pairs))


@contextmanager
def _watched(conn: psycopg.BaseConnection[Any], progress: BuildProgress) -> Iterator[None]:
    """Show the progress of what the connection does, by a thread with a connection of its own."""
    show = _Bar() if progress is True else progress
    assert callable(show)
    done = threading.Event()
    with psycopg.connect(conn.info.dsn, password=conn.info.password, autocommit=True) as watcher:
        thread = threading.Thread(
            target=_watch, args=(watcher, conn.info.backend_pid, show, done), daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            if isinstance(show, _Bar):
                show.close()


def _watch(
    watcher: psycopg.Connection[Any],
    pid: int,
    show: Callable[[str, int, int], None],
    done: threading.Event,
) -> None:
    while not done.wait(_POLL_SECONDS):
        for phase, n, total in watcher.execute(_PROGRESS, (pid,)):
            show(phase.removeprefix("building index: "), n, total)


class _Bar:
    """A bar that begins anew with each phase."""

    def __init__(self) -> None:
        self._bar = make_bar()

    def __call__(self, phase: str, done: int, total: int) -> None:
        if phase != self._bar.desc:
            self._bar.reset()
            self._bar.set_description_str(phase)
        self._bar.total = total or None
        self._bar.n = done
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()
