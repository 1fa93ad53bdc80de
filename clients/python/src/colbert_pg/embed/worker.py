"""A worker: takes batches of stale rows from the queue until none waits.

A batch is a transaction. It holds the locks of its entries in the queue while the encoder runs, so
no other worker takes them, and they are free as soon as this one dies. At the end it locks the rows
whose text has not changed since. Rows whose text has changed, and rows that another transaction has
locked, stay in the queue.
"""

from __future__ import annotations

import logging
import selectors
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg.types import TypeInfo

from .._driver import is_row_fault
from ..multivector import MultiVector
from ..psycopg.register import register_type
from .encoding import BatchEncoder, Encoded, EncoderFailedError, reason_of
from .registry import CHANNEL, Failure, encoder_of, is_installed, scan
from .statements import Statements

Connection = psycopg.Connection[Any]

logger = logging.getLogger("colbert_pg.embed")

RETRIES = 10  # of consecutive faults of the server or the encoder
_FIRST_PAUSE, _LAST_PAUSE = 0.5, 30.0  # seconds between retries
_SLICE = 0.25  # seconds after which a waiting worker looks whether it is to stop
# Classes of SQLSTATE that may pass: connections, rollbacks, resources, locks, interventions.
_PASSING = ("08", "40", "53", "55", "57")
# Settings last for a transaction: a pool may give the connection to another client after it.
_SETTINGS = """
    SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL row_security = off
"""
# The queue has no statistics when it fills, and few of its rows are needed: have indexes used.
_BY_INDEX = ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin")
INDEXES = "; ".join(f"SET LOCAL enable_{name} = off" for name in _BY_INDEX)
DEFAULT_PLANS = "; ".join(f"SET LOCAL enable_{name} TO DEFAULT" for name in _BY_INDEX)
_SHARE = "SELECT pg_catalog.pg_advisory_xact_lock_shared(%s)"


class EncoderChangedError(RuntimeError):
    """Another command has begun to embed the same column with another encoder."""


@dataclass(frozen=True)
class Task:
    """What all workers of a call share."""

    conninfo: str
    statements: Statements
    encoder: BatchEncoder
    identity: str
    batch: int
    follow: bool
    poll: float
    stop: threading.Event
    report: Callable[[int, int, list[Failure]], None]
    """Gets the numbers of rows and of multivectors written by a batch, and its failures."""


@dataclass
class _Item:
    """A row of a batch."""

    entries: list[int]  # of the queue; the first stands for the row
    key: list[str]
    exists: bool
    text: str | None
    encoded: Encoded = field(default_factory=Encoded)

    @property
    def id(self) -> int:
        return self.entries[0]


def connect(conninfo: str) -> Connection:
    """Return a connection as workers need it, whatever the defaults of the role are."""
    conn = psycopg.connect(
        conninfo, autocommit=True, client_encoding="utf8", prepare_threshold=None
    )
    conn.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    conn.read_only = False
    return conn


def may_pass(error: Exception) -> bool:
    """Return whether it makes sense to try again."""
    if isinstance(error, EncoderFailedError):
        return error.may_pass
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(_PASSING)


class Worker:
    """Works until nothing waits, or with follow until it is stopped."""

    def __init__(self, task: Task) -> None:
        self._task, self._sql = task, task.statements
        self._notified = False
        self._faults = 0  # since the last batch, or since the queue was empty

    def run(self) -> None:
        """Work, and try again after faults that may pass."""
        while not self._task.stop.is_set():
            fault = self._try()
            if fault is None:
                return
            if self._faults == RETRIES or not may_pass(fault):
                raise fault
            pause = min(_FIRST_PAUSE * 2**self._faults, _LAST_PAUSE)
            self._faults += 1
            logger.warning("%s; trying again in %g s", reason_of(fault), pause)
            self._task.stop.wait(pause)

    def _try(self) -> Exception | None:
        try:
            with connect(self._task.conninfo) as conn:
                self._prepare(conn)
                self._work(conn)
        except (psycopg.Error, EncoderFailedError) as e:
            return e
        return None

    def _prepare(self, conn: Connection) -> None:
        name = psycopg.sql.Identifier(self._sql.source.extension_schema, "multivector")
        register_type(conn, TypeInfo.fetch(conn, name))
        if self._task.follow:
            conn.add_notify_handler(self._notify)
            conn.execute(f"LISTEN {CHANNEL}")

    def _notify(self, _notification: psycopg.Notify) -> None:
        self._notified = True

    def _work(self, conn: Connection) -> None:
        while not self._task.stop.is_set():
            self._notified = False
            if self._batch(conn):
                self._faults = 0
            elif not self._wait(conn):
                return

    def _batch(self, conn: Connection) -> bool:
        """Do a batch, and return whether there was one."""
        with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(f"{_SETTINGS}; {INDEXES}")
            items = self._take(conn, cursor)
            if not items:
                return False
            self._encode(items)
            done, failed = self._write(conn, cursor, items)
        names = self._sql.source.keys
        failures = [
            Failure(dict(zip(names, item.key, strict=True)), item.encoded.reason or "")
            for item in failed
        ]
        multivectors = sum(len(item.encoded.chunks) for item in done)
        self._task.report(sum(item.text is not None for item in done), multivectors, failures)
        return True

    def _take(self, conn: Connection, cursor: psycopg.Cursor[Any]) -> list[_Item]:
        cursor.execute(self._sql.take, (self._task.batch,))
        ids = [entry for (entry,) in cursor]
        if not ids:
            return []
        cursor.execute(self._sql.take_same, {"ids": ids})
        ids += [entry for (entry,) in cursor]
        with conn.transaction(force_rollback=True):  # keeps no lock on the table meanwhile
            return [_Item(*row) for row in cursor.execute(self._sql.read, (ids,))]

    def _encode(self, items: list[_Item]) -> None:
        filled = [item for item in items if item.text is not None]
        results = self._task.encoder.encode([item.text or "" for item in filled])
        for item, encoded in zip(filled, results, strict=True):
            item.encoded = encoded

    def _write(
        self, conn: Connection, cursor: psycopg.Cursor[Any], items: list[_Item]
    ) -> tuple[list[_Item], list[_Item]]:
        """Write a batch, and return the rows that are done and those that are refused."""
        cursor.execute(_SHARE, (self._sql.encoder_lock,))
        if encoder_of(conn, self._sql) != self._task.identity:
            raise EncoderChangedError(
                f"the encoder is {encoder_of(conn, self._sql)} now, and was {self._task.identity}"
            )
        existing = [item for item in items if item.exists]
        unchanged = self._lock_unchanged(cursor, existing)
        cursor.execute(DEFAULT_PLANS)
        self._store(conn, [item for item in unchanged if item.encoded.reason is None])
        refused = [item for item in unchanged if item.encoded.reason is not None]
        done = [item for item in unchanged if item.encoded.reason is None]
        kept = {item.id for item in refused}
        deferred = {item.id for item in existing} - {item.id for item in unchanged}
        if deferred:
            cursor.execute(self._sql.defer, (list(deferred),))
        if refused:
            self._refuse(conn, refused)
        entries = {entry for item in items for entry in item.entries} - kept - deferred
        cursor.execute(self._sql.finish, (list(entries),))
        return done, refused

    def _refuse(self, conn: Connection, items: list[_Item]) -> None:
        """Remove the embeddings of former texts, and record the reasons."""
        self._clear(conn, items)
        ids = [item.id for item in items]
        conn.execute(self._sql.forget_same, {"ids": ids})
        reasons, texts = [item.encoded.reason for item in items], [item.text for item in items]
        conn.execute(self._sql.fail, (ids, reasons, texts, ids))

    def _clear(self, conn: Connection, items: list[_Item]) -> None:
        """Remove embeddings. If the server refuses that, the reason says so."""
        try:
            with conn.transaction():
                conn.execute(self._sql.clear, ([item.id for item in items],))
        except psycopg.Error as e:
            if not is_row_fault(e.sqlstate):
                raise
            if len(items) == 1:
                reason = f"{items[0].encoded.reason}; that of the former text stays: {reason_of(e)}"
                items[0].encoded = Encoded(reason=reason)
                return
            middle = len(items) // 2
            self._clear(conn, items[:middle])
            self._clear(conn, items[middle:])

    def _lock_unchanged(self, cursor: psycopg.Cursor[Any], items: list[_Item]) -> list[_Item]:
        if not items:
            return []
        ids, texts = [item.id for item in items], [item.text for item in items]
        cursor.execute(self._sql.lock_unchanged, (ids, texts))
        locked = {entry for (entry,) in cursor}
        return [item for item in items if item.id in locked]

    def _store(self, conn: Connection, items: list[_Item]) -> None:
        """Write embeddings. A row that the server refuses gets its reason, and stops no other."""
        if not items:
            return
        try:
            with conn.transaction():
                self._store_all(conn, items)
        except psycopg.Error as e:
            if not is_row_fault(e.sqlstate):
                raise
            if len(items) == 1:
                items[0].encoded = Encoded(reason=reason_of(e))
                return
            middle = len(items) // 2
            self._store(conn, items[:middle])
            self._store(conn, items[middle:])

    def _store_all(self, conn: Connection, items: list[_Item]) -> None:
        if self._sql.job.chunks is not None:
            conn.execute(self._sql.clear, ([item.id for item in items],))
            self._insert_chunks(conn, items)
            return
        cleared = [item.id for item in items if not item.encoded.chunks]
        if cleared:
            conn.execute(self._sql.clear, (cleared,))
        filled = [item for item in items if item.encoded.chunks]
        if filled:
            docs = [item.encoded.chunks[0].doc for item in filled]
            ids = [item.id for item in filled]
            conn.execute(self._sql.update, (ids, docs, ids))

    def _insert_chunks(self, conn: Connection, items: list[_Item]) -> None:
        rows: list[tuple[int, int, int, int, MultiVector]] = [
            (item.id, number, *chunk.span, chunk.doc)
            for item in items
            for number, chunk in enumerate(item.encoded.chunks, 1)
        ]
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            conn.execute(self._sql.insert_chunks, [*columns, [item.id for item in items]])

    def _wait(self, conn: Connection) -> bool:
        """Wait until there may be work again, and return whether there may."""
        with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(self._sql.waiting, ())
            [(waiting, due)] = cursor.fetchall()
        if not waiting:  # an entry that waits may be one at which the encoder fails
            self._faults = 0
            if not self._task.follow:
                return False
        pause = self._task.poll if self._task.follow else _LAST_PAUSE
        if waiting:  # an entry that is due is in the hands of another worker
            pause = min(pause, max(due, _SLICE))
        self._sleep(conn, pause)
        if self._task.follow and not self._notified and not is_installed(conn, self._sql):
            scan(conn, self._sql)
        return True

    def _sleep(self, conn: Connection, seconds: float) -> None:
        """Sleep, unless a notification or the end of the connection comes, or the call to stop."""
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(conn.fileno(), selectors.EVENT_READ)
            while not self._notified and not self._task.stop.is_set():
                rest = end - time.monotonic()
                if rest <= 0 or selector.select(min(rest, _SLICE)):
                    return
