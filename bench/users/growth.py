"""An index created empty receives all of MedQuAD, in statements of 50 documents: the largest growth step of its file, and how long searches wait.

colbert_ivf, default settings. The concurrent search has one query token. Its longest time includes the load of merging; the longest time without
inserts is given for comparison.
"""
import threading
import time
from collections.abc import Iterator
from typing import Any

import medquad_db as db

from users import Figure, load, run, seconds

STATEMENT, QUIET_SECONDS = 50, 3
SEARCH = 'SELECT id, maxsim(doc, $1) AS score FROM grown ORDER BY score DESC LIMIT 1'


class Reader(threading.Thread):
    """A thread that searches until it is stopped and records the milliseconds of each search."""

    def __init__(self, query: bytes) -> None:
        super().__init__(daemon=True)
        self.query, self.done = query, threading.Event()
        self.times: list[float] = []
        self.start()

    def run(self) -> None:
        with db.connect() as conn:
            conn.execute('SET enable_seqscan = off')
            asker = db.Asker(conn, SEARCH)
            while not self.done.is_set():
                start = time.perf_counter()
                asker.ask(self.query)
                self.times.append((time.perf_counter() - start) * 1000)

    def stop(self) -> list[float]:
        """Stop and return the times of all searches."""
        self.done.set()
        self.join()
        return self.times


def file_mb(conn: Any) -> float:
    return conn.execute("SELECT pg_relation_size('grown_index')").fetchone()[0] / 2 ** 20


def measure(conn: Any) -> Iterator[Figure]:
    load(conn)
    rows = conn.execute('SELECT max(id) FROM passages').fetchone()[0]
    run(conn, 'CREATE TABLE grown (LIKE passages)', 'CREATE INDEX grown_index ON grown USING colbert_ivf (doc)')
    query = db.all_of(conn, 'SELECT multivector(ARRAY[token(short, 1)]) FROM questions WHERE id = 1')[0][0]
    reader = Reader(query)
    sizes, slowest, took = [file_mb(conn)], 0., 0.
    for first in range(1, rows + 1, STATEMENT):
        ms = seconds(conn, f'INSERT INTO grown SELECT * FROM passages WHERE id BETWEEN {first} AND {first + STATEMENT - 1}')
        sizes.append(file_mb(conn))
        slowest, took = max(slowest, ms), took + ms
    waits = reader.stop()
    yield Figure('inserts per second', rows / took)
    yield Figure('the slowest statement', slowest, 's')
    yield Figure('largest step of the file in a statement', max(after - before for before, after in zip(sizes, sizes[1:], strict=False)), 'MB')
    yield Figure('the longest search beside the inserts', max(waits), 'ms')
    yield Figure('99 of 100 searches take at most', db.percentile(waits, .99), 'ms')
    run(conn, "SELECT colbert_merge('grown_index')")
    yield Figure('file', file_mb(conn), 'MB')
    reader = Reader(query)
    time.sleep(QUIET_SECONDS)
    yield Figure('the longest search while nothing is inserted', max(reader.stop()), 'ms')
