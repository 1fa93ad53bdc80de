"""A small table to rank by MaxSim and full text, with judged questions."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
from words import Words

from colbert_pg.load import copy

COUNT, GROUP = 40, 5
QUERIES = {f"q{i}": f"group{i // GROUP} word{i}" for i in range(COUNT)}
QRELS = {f"q{i}": {str(i): 1} for i in range(COUNT)}
ENCODER = Words()


def create_passages(conn: psycopg.Connection[Any]) -> None:
    """Make passages that MaxSim tells apart by their group, roughly.

    good has the word of the question, and bad that of any question.
    """
    random = np.random.default_rng(7)
    others = random.permutation(COUNT)
    conn.execute("""
        CREATE TABLE passages (id int, doc multivector(16), good tsvector, bad tsvector)
    """)
    rows = [
        (
            i,
            ENCODER.encode_document(f"group{i // GROUP} more").to_numpy()
            + random.normal(0, 0.1, (2, 16)),
            f"word{i}",
            f"word{others[i]}",
        )
        for i in range(COUNT)
    ]
    copy(conn, "passages", rows)
    conn.execute("INSERT INTO passages VALUES (-1, NULL, 'word1', 'word1')")
    conn.execute("INSERT INTO passages SELECT -2, doc FROM passages WHERE id = 1")
    for column in ("good", "bad"):
        conn.execute("SELECT bm25_analyze('passages', %s, config => 'simple')", (column,))
