"""Shared code of the tests of embed: a table, an encoder that can be held, and a wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
from fake_encoder import FakeEncoder
from psycopg import sql
from typing_extensions import LiteralString

from colbert_pg.embed import Job, Result, embed
from colbert_pg.encoders import Encoder
from colbert_pg.psycopg import register_multivector

Connection = psycopg.Connection[Any]
JOB = Job("docs")
SCHEMA = """
    DROP SCHEMA IF EXISTS work CASCADE;
    CREATE SCHEMA work;
    GRANT USAGE ON SCHEMA work TO PUBLIC;
    CREATE TABLE work.docs (id int PRIMARY KEY, body text, doc multivector(8, float2), note text)
"""


@contextmanager
def connected(database: str) -> Iterator[Connection]:
    """Return a connection to a database in which the schema work comes first, with docs alone."""
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute(SCHEMA)
        name = sql.Identifier(database)
        conn.execute(sql.SQL("ALTER DATABASE {} SET search_path = work, public").format(name))
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        register_multivector(conn)
        yield conn


def run(conn: Connection, encoder: Encoder, job: Job = JOB, **options: Any) -> Result:
    return embed(conn.info.dsn, job, encoder, **{"name": "fake", **options})


def count(conn: Connection, query: LiteralString) -> int:
    return conn.execute(query).rowcount


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


class Gate:
    """Holds an encoder before its first batch."""

    def __init__(self, encoder: FakeEncoder) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        encoder.before = self._wait

    def _wait(self, _texts: list[str]) -> None:
        self.reached.set()
        assert self.opened.wait(30)

    @contextmanager
    def held(
        self, conn: Connection, encoder: FakeEncoder, job: Job = JOB, **options: Any
    ) -> Iterator[Future[Result]]:
        """Embed in a thread, which holds at the gate while the block begins."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(run, conn, encoder, job, **options)
            assert self.reached.wait(30)
            try:
                yield future
            finally:
                self.opened.set()
                future.result(30)
