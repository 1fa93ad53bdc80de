"""A collection on a connection of psycopg, or on a pool of them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import psycopg

from .._build import create_index
from .._cursors import Cursor, cursor_of
from ..psycopg import register_multivector
from ..psycopg.register import is_registered
from . import methods
from .operations import Build, Call, Operation, Result, Run, Transaction
from .statements import Statement

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    Source = psycopg.Connection[Any] | ConnectionPool[Any]

P = ParamSpec("P")
T = TypeVar("T")
Connection = psycopg.Connection[Any]


def _run_by(
    method: Callable[Concatenate[methods.Base[Any], P], Operation[T]],
) -> Callable[Concatenate[Collection, P], T]:
    """Return a method that runs an operation."""

    @functools.wraps(method)
    def run(self: Collection, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(method(self, *args, **kwargs))

    return run


class Collection(methods.Base["Source"]):
    """A table of texts, their multivectors and metadata.

    conn: a psycopg.Connection, or a psycopg_pool.ConnectionPool, of which each method takes a
    connection. Threads that share a connection wait for each other.
    encoder: needed wherever a text is encoded. element: of the column that create makes.
    similarity: the function that search orders by. Scores of maxsim_l2 are distances.
    full_text: the column of tsvector, for search by words.

    A method is one transaction, or a savepoint in that of the caller; add needs two if it has to
    find which ids exist before it encodes.
    """

    _lock = threading.Lock

    create = _run_by(methods.create)
    add_full_text = _run_by(methods.add_full_text)
    analyze = _run_by(methods.analyze)
    drop = _run_by(methods.drop)
    add = _run_by(methods.add)
    get = _run_by(methods.get)
    delete = _run_by(methods.delete)
    count = _run_by(methods.count)
    filter = _run_by(methods.filter)
    index = _run_by(methods.index)
    search = _run_by(methods.search)
    explain = _run_by(methods.explain)
    terms = _run_by(methods.terms)

    def _run(self, operation: Operation[T]) -> T:
        with closing(operation):
            run = Run(operation)
            has_next = run.has_next(None)
            while has_next:
                has_next = self._do_step(run)
            return run.result

    def _do_step(self, run: Run[Call | Build | Transaction[Any], Any]) -> bool:
        """Do a step, and return whether there is a next one."""
        try:
            returned = self._step(run.step)
        except Exception as e:
            return run.has_next_after(e)
        return run.has_next(returned)

    def _step(self, step: Call | Build | Transaction[Any]) -> Any:
        if isinstance(step, Call):
            return step.function()
        if isinstance(step, Build):
            with self._connection() as conn, _mode(conn, concurrently=step.concurrently):
                return create_index(conn, **step.arguments)
        with self._connection() as conn, conn.transaction(), cursor_of(conn, binary=True) as cursor:
            run, result = Run(step), None
            while run.has_next(result):
                result = _execute(cursor, run.step)
            return run.result

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        if isinstance(self._conn, psycopg.Connection):
            with self._turn:
                yield _registered(self._conn)
            return
        with self._conn.connection() as conn:
            yield _registered(conn)


def _registered(conn: Connection) -> Connection:
    if not is_registered(conn):
        register_multivector(conn)
    return conn


def _execute(cursor: Cursor, statement: Statement) -> Result:
    if not statement.many:
        cursor.execute(statement.sql, statement.params)
        if cursor.connection.pgconn.pipeline_status:  # of the caller: wait for the result
            with cursor.connection.pipeline():
                pass
        return Result(cursor.fetchall() if cursor.description else [], cursor.rowcount)
    cursor.executemany(statement.sql, statement.params, returning=True)
    rows = cursor.fetchall()
    while cursor.nextset():
        rows += cursor.fetchall()
    return Result(rows, len(rows))


@contextmanager
def _mode(conn: Connection, *, concurrently: bool) -> Iterator[None]:
    """Open a transaction, or make sure that there is none, as CONCURRENTLY demands."""
    if not concurrently:
        with conn.transaction():
            yield
        return
    before = conn.autocommit
    conn.autocommit = True
    try:
        yield
    finally:
        conn.autocommit = before
