"""Tokens of 4,096 dims: build time, size, and recall@10 compared with the exact answers, for both methods.

512 passages of MedQuAD whose 128 dims are mapped to 4,096 by a random matrix with orthonormal columns; 40 short questions and 20 of 16
tokens.
"""
from collections.abc import Iterator
from typing import Any

import copybinary as cb
import medquad_db as db
import numpy as np
import psycopg

from users import DIMS, METHODS, Figure, answers, copy_in, exact, load, median_ms, run, seconds

WIDE, PASSAGES, SEED = 4096, 512, 5
QUERIES = {'short': 40, 'long': 20}


def widened(values: list[tuple[int, bytes]], turn: np.ndarray, element: str) -> list[tuple[int, bytes]]:
    return [(id, cb.multivector(cb.tokens_of(value).astype(np.float32) @ turn, element)) for id, value in values]


def measure(conn: Any) -> Iterator[Figure]:
    load(conn, count=PASSAGES)
    turn = np.linalg.qr(np.random.default_rng(SEED).normal(size=(WIDE, DIMS)))[0].astype(np.float32).T
    run(conn, f'CREATE TABLE wide (id int PRIMARY KEY, doc multivector({WIDE}, float2))', 'ALTER TABLE wide ALTER doc SET STORAGE external')
    copy_in(conn, 'wide', widened(db.all_of(conn, 'SELECT id, doc FROM passages'), turn, 'float2'))
    run(conn, 'VACUUM ANALYZE wide')
    queries = {kind: widened(db.queries(conn, kind, n), turn, 'float4') for kind, n in QUERIES.items()}
    tenths = {kind: exact(conn, 'wide', those) for kind, those in queries.items()}
    for method in METHODS:
        try:
            yield Figure(f'{method}: build', seconds(conn, f'CREATE INDEX wide_index ON wide USING {method} (doc)'), 's')
        except psycopg.Error as error:
            yield Figure(f'{method}: build', 'refused')
            print(f'{method}: {error}')
            continue
        yield Figure(f'{method}: index', conn.execute("SELECT pg_relation_size('wide_index')").fetchone()[0] / 2 ** 20, 'MB')
        run(conn, 'SET enable_seqscan = off')
        for kind, those in queries.items():
            yield Figure(f'{method}: recall@10 of {kind} queries', db.recall(answers(conn, 'wide', those), tenths[kind]))
            yield Figure(f'{method}: {kind} queries', median_ms(conn, 'wide', those), 'ms')
        run(conn, 'RESET enable_seqscan', 'DROP INDEX wide_index')
