"""Searches of MedQuAD by default settings: processor time of the backend, median and recall@10 of short and 16-token questions.

Both methods; 300 questions of each kind, the best of nine rounds. Processor time is what the backend used.
"""
import os
import statistics
from collections.abc import Iterator
from typing import Any

import medquad_db as db

from users_parts import METHODS, Figure, load, run

TOP = 'SELECT id, maxsim(doc, $1) AS score FROM passages ORDER BY score DESC LIMIT 10'
QUESTIONS, ROUNDS = 300, 9


def processor_ms(conn: Any) -> float:
    """Milliseconds that the backend has used."""
    with open(f'/proc/{conn.info.backend_pid}/stat') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf('SC_CLK_TCK')


def one_round(conn: Any, asker: db.Asker, queries: list[tuple[int, bytes]]) -> tuple[float, float]:
    """Milliseconds of a query: the mean processor time, and the client's median."""
    start = processor_ms(conn)
    times = asker.timed(queries)[0]
    return (processor_ms(conn) - start) / len(queries), statistics.median(times)


def measure(conn: Any) -> Iterator[Figure]:
    load(conn)
    run(conn, "SET maintenance_work_mem = '512MB'; SET max_parallel_workers_per_gather = 0; SET jit = off; SET enable_seqscan = off")
    for method in METHODS:
        run(conn, f'CREATE INDEX passages_index ON passages USING {method} (doc)')
        for kind in 'short', 'long':
            queries = db.queries(conn, kind, QUESTIONS)
            asker = db.Asker(conn, TOP)
            asker.timed(queries)
            rounds = [one_round(conn, asker, queries) for _ in range(ROUNDS)]
            yield Figure(f'{method}, {kind}: processor time', min(took for took, _ in rounds), 'ms')
            yield Figure(f'{method}, {kind}: median', min(median for _, median in rounds), 'ms')
            if kind == 'short':
                yield Figure(f'{method}, {kind}: recall@10', db.recall(asker.timed(queries)[1], db.tenth_scores(conn, kind, queries)))
        run(conn, 'DROP INDEX passages_index')
