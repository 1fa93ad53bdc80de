"""Statements that see the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus


@contextmanager
def in_one_snapshot(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Let all statements see the same rows, unless the caller's transaction has begun."""
    alone = conn.info.transaction_status == TransactionStatus.IDLE
    with conn.transaction(force_rollback=True):
        if alone:
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
