"""An index created on an empty table into which MedQuAD is inserted: lists or nodes, size, time and recall@10, compared with REINDEX.

Default settings, both methods; statements of 250 rows; 500 short questions.
"""
from collections.abc import Iterator
from typing import Any

import medquad_db as db

from users import METHODS, Figure, answers, info, load, median_ms, run, seconds

QUESTIONS, STATEMENT = 500, 250


def figures(conn: Any, label: str, queries: list[tuple[int, bytes]], tenths: list[float]) -> Iterator[Figure]:
    known = info(conn, 'began_index')
    yield Figure(f'{label}: nodes', known['nodes'])
    yield Figure(f'{label}: index', known['total_bytes'] / 2 ** 20, 'MB')
    yield Figure(f'{label}: median', median_ms(conn, 'began', queries), 'ms')
    yield Figure(f'{label}: recall@10', db.recall(answers(conn, 'began', queries), tenths))


def measure(conn: Any) -> Iterator[Figure]:
    load(conn)
    run(conn, "SET maintenance_work_mem = '512MB'; SET max_parallel_workers_per_gather = 0")
    rows = conn.execute('SELECT max(id) FROM passages').fetchone()[0]
    queries = db.queries(conn, 'short', QUESTIONS)
    tenths = db.tenth_scores(conn, 'short', queries)
    for method in METHODS:
        run(conn, 'DROP TABLE IF EXISTS began', 'CREATE TABLE began (LIKE passages)', f'CREATE INDEX began_index ON began USING {method} (doc)')
        took = sum(seconds(conn, f'INSERT INTO began SELECT * FROM passages WHERE id BETWEEN {first} AND {first + STATEMENT - 1}') for first in range(1, rows + 1, STATEMENT))
        run(conn, "SELECT colbert_merge('began_index')", 'VACUUM ANALYZE began')
        yield Figure(f'{method}, began empty: inserts per second', rows / took)
        yield from figures(conn, f'{method}, began empty', queries, tenths)
        yield Figure(f'{method}, after REINDEX: seconds', seconds(conn, 'REINDEX INDEX began_index'), 's')
        yield from figures(conn, f'{method}, after REINDEX', queries, tenths)
