"""Tokens of different lengths with maxsim: recall@10 of both methods; and the time of maxsim_l2 relative to maxsim.

3,000 passages of MedQuAD whose tokens are multiplied by lognormal lengths with this standard deviation of the logarithm, the first 50
questions of each kind, default settings. Times of scores come from sequential scans over unchanged passages, float4, with 16 query tokens.
"""
from collections.abc import Iterator
from typing import Any

import copybinary as cb
import medquad_db as db
import numpy as np

from users import METHODS, ROUNDS, Figure, answers, copy_in, exact, load, run, seconds

PASSAGES, QUESTIONS, SEED = 3000, 50, 2
DEVIATIONS = (0, .25, .7, 1.5)


def stretched(conn: Any, deviation: float) -> Iterator[tuple[int, bytes]]:
    random = np.random.default_rng(SEED)
    for id, doc in db.all_of(conn, 'SELECT id, doc FROM passages ORDER BY id'):
        tokens = cb.tokens_of(doc).astype(np.float32)
        yield id, cb.multivector(tokens * np.exp(random.normal(0, deviation, (len(tokens), 1))).astype(np.float32), 'float4')


def recalls(conn: Any, deviation: float) -> Iterator[Figure]:
    run(conn, 'DROP TABLE IF EXISTS stretched', 'CREATE TABLE stretched (id int PRIMARY KEY, doc multivector(128))')
    copy_in(conn, 'stretched', list(stretched(conn, deviation)))
    run(conn, 'VACUUM ANALYZE stretched')
    queries = {kind: db.all_of(conn, f'SELECT id, {kind} FROM questions WHERE id <= {QUESTIONS}') for kind in ('short', 'long')}
    tenths = {kind: exact(conn, 'stretched', those) for kind, those in queries.items()}
    for method in METHODS:
        run(conn, f'CREATE INDEX stretched_index ON stretched USING {method} (doc)', 'SET enable_seqscan = off')
        for kind, those in queries.items():
            yield Figure(f'deviation {deviation:g}, {method}, {kind} queries: recall@10', db.recall(answers(conn, 'stretched', those), tenths[kind]))
        run(conn, 'DROP INDEX stretched_index', 'RESET enable_seqscan')


def scores(conn: Any, label: str, condition: str, times: int) -> Iterator[Figure]:
    """Return the time of maxsim_l2 relative to maxsim, in sequential scans."""
    run(conn, 'DROP TABLE IF EXISTS scored', f'CREATE TABLE scored AS SELECT doc::multivector(128, float4) FROM passages WHERE {condition}')
    statement = f'SELECT sum({{}}(doc, (SELECT long FROM questions WHERE id = 1))) FROM scored, generate_series(1, {times})'
    rounds = [[seconds(conn, statement.format(score)) for score in ('maxsim', 'maxsim_l2')] for _ in range(ROUNDS)]
    plain, l2 = (min(column) for column in zip(*rounds, strict=True))
    yield Figure(f'maxsim_l2 over maxsim, 16 query tokens, {label}', l2 / plain)


def measure(conn: Any) -> Iterator[Figure]:
    load(conn, count=PASSAGES)
    run(conn, 'SET max_parallel_workers_per_gather = 0; SET jit = off')
    for deviation in DEVIATIONS:
        yield from recalls(conn, deviation)
    yield from scores(conn, 'documents of at most 15 tokens', 'num_tokens(doc) <= 15', 40)
    yield from scores(conn, 'documents of 66 tokens on average', 'id <= 1000', 3)
