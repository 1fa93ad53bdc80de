"""Processor time of an inserted document, merges and their worker included, and WAL; for each method.

MedQuAD, default settings, a background worker: 4,000 documents, 100 per transaction, by one client, into an index of 12,373. The backend's time is
that of the INSERTs; the time of the merges is that of all processes of the server that ended meanwhile, which are the workers.
"""
import time
from collections.abc import Iterator
from typing import Any

import copybinary as cb
import medquad_db as db

from users import METHODS, Figure, load, processor_ms, run

BUILT, INSERTED, COMMIT_EVERY = 12373, 4000, 100
TICK_MS = 10


def stat(pid: int) -> list[str]:
    """Return the fields of a process from its parent's pid on."""
    with open(f'/proc/{pid}/stat') as f:
        return f.read().rsplit(')', 1)[1].split()[1:]


def ended_ms(postmaster: int) -> float:
    """Return the CPU milliseconds of the server's processes that have ended."""
    fields = stat(postmaster)
    return (int(fields[12]) + int(fields[13])) * TICK_MS


def wait_for_workers(conn: Any) -> None:
    while conn.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'colbert_pg%'").fetchone()[0]:
        time.sleep(.05)
    time.sleep(.2)      # until the postmaster has seen them end


def wal(conn: Any) -> int:
    return int(conn.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()[0])


def insert(conn: Any, documents: list[tuple[int, bytes]]) -> list[float]:
    """Insert documents and return the milliseconds of each."""
    times = []
    for first in range(0, len(documents), COMMIT_EVERY):
        conn.pgconn.exec_(b'BEGIN')
        for id, doc in documents[first:first + COMMIT_EVERY]:
            start = time.perf_counter()
            result = conn.pgconn.exec_prepared(b'ins', [cb.int4(id), doc], [1, 1])
            times.append((time.perf_counter() - start) * 1000)
            if result.error_message:
                raise RuntimeError(result.error_message.decode())
        conn.pgconn.exec_(b'COMMIT')
    return times


def measure(conn: Any) -> Iterator[Figure]:
    load(conn, count=BUILT + INSERTED)
    documents = db.all_of(conn, f'SELECT id, doc FROM passages WHERE id > {BUILT} ORDER BY id')
    conn.pgconn.prepare(b'ins', b'INSERT INTO passages (id, doc) VALUES ($1, $2)')
    backend = conn.info.backend_pid
    postmaster = int(stat(backend)[0])
    for method in METHODS:
        run(conn, 'DROP INDEX IF EXISTS passages_index', f'DELETE FROM passages WHERE id > {BUILT}', 'VACUUM passages',
            f'CREATE INDEX passages_index ON passages USING {method} (doc)', 'CHECKPOINT')
        before, ended, written, start = processor_ms(backend), ended_ms(postmaster), wal(conn), time.perf_counter()
        times = insert(conn, documents)
        taken, inserts = time.perf_counter() - start, processor_ms(backend) - before
        wait_for_workers(conn)
        merges = ended_ms(postmaster) - ended
        yield Figure(f'{method}: inserts per second', len(times) / taken)
        yield Figure(f'{method}: the longest', max(times), 'ms')
        yield Figure(f'{method}: processor time of an INSERT', inserts / len(times), 'ms')
        yield Figure(f'{method}: of its merges', merges / len(times), 'ms')
        yield Figure(f'{method}: of both', (inserts + merges) / len(times), 'ms')
        yield Figure(f'{method}: WAL of both', (wal(conn) - written) / len(times) / 1000, 'kB')
