#!/usr/bin/python3
"""Compare bm25f with the method `lucene` of bm25s, in double precision, on random texts with one section. TAP output.

Runs on the server of PGHOST, in a database of its own. COLBERT_EXTRA makes the corpora larger and more.
"""
import os
import random
import sys

import bm25s
import numpy as np
import psycopg

CORPORA, DOCUMENTS, QUERIES = (40, 3000, 50) if os.environ.get('COLBERT_EXTRA') else (6, 300, 20)
TOLERANCE = 1e-12


def make_corpus(r: random.Random) -> list[list[str]]:
    """Return documents of words with skewed frequencies: some empty, some long, some with a word in every position."""
    words = r.choice((5, 200, 5000))
    longest = r.choice((10, 200))
    return [[f'w{int(words * r.random() ** 3)}' for _ in range(r.randint(0, longest))] for _ in range(r.randint(DOCUMENTS // 3, DOCUMENTS))]


def make_query(r: random.Random, corpus: list[list[str]]) -> list[str]:
    """Return distinct words of the corpus, and one that it lacks."""
    known = sorted({word for document in corpus for word in document})
    return r.sample(known, min(len(known), r.randint(1, 12))) + ['unknown'] * r.randint(0, 1)


def load(conn: psycopg.Connection, corpus: list[list[str]]) -> None:
    conn.execute('DROP TABLE IF EXISTS corpus, corpus_tsv_bm25')
    conn.execute('CREATE TABLE corpus (id int, tsv tsvector)')
    with conn.cursor().copy('COPY corpus FROM STDIN') as copy:
        for i, document in enumerate(corpus):
            copy.write_row((i, ' '.join(f'{word}:{position}' for position, word in enumerate(document, 1))))
    conn.execute("SELECT bm25_analyze('corpus', 'tsv', config => 'simple')")


def worst_difference(conn: psycopg.Connection, r: random.Random) -> float:
    """Return the largest difference of two scores, or infinity if no document has a score."""
    corpus = make_corpus(r)
    k1, b = r.choice((1.2, .9, r.uniform(0, 3))), r.choice((.75, 0., 1., r.random()))
    peer = bm25s.BM25(method='lucene', k1=k1, b=b, dtype='float64')
    peer.index(corpus, show_progress=False)
    load(conn, corpus)
    worst, scored = 0., 0
    for _ in range(QUERIES):
        query = make_query(r, corpus)
        rows = conn.execute("SELECT bm25f(tsv, q) FROM corpus, bm25_query('corpus_tsv_bm25', %s, b => %s, k1 => %s) AS q ORDER BY id", (' '.join(query), b, k1)).fetchall()
        ours = np.array(rows)[:, 0]
        worst = max(worst, float(np.abs(ours - peer.get_scores(query)).max()))
        scored += int((ours > 0).sum())
    return worst if scored else float('inf')


def main() -> int:
    seed = int(os.environ.get('COLBERT_SEED') or int.from_bytes(os.urandom(4), 'big'))
    print(f'# seed {seed}')
    with psycopg.connect(dbname='postgres', autocommit=True) as conn:
        conn.execute('CREATE DATABASE ranking')
    failed = False
    with psycopg.connect(dbname='ranking', autocommit=True) as conn:
        conn.execute('CREATE EXTENSION colbert_pg')
        for n in range(1, CORPORA + 1):
            worst = worst_difference(conn, random.Random(f'{seed} {n}'))
            failed |= worst > TOLERANCE
            print(f"{'ok' if worst <= TOLERANCE else 'not ok'} {n} - bm25f equals bm25s on random texts: the largest difference is {worst:.1e}")
    print(f'1..{CORPORA}')
    return failed


if __name__ == '__main__':
    sys.exit(main())
