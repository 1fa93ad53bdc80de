"""Recall of an index whose centroids come from a table, beside that of one that trained them.

On 2,000 passages of MedQuAD by the demo's encoder; with COLBERT_EXTRA, on all 16,373.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from colbert_pg import MultiVector
from colbert_pg.gpu import FlatMaxSim, train
from colbert_pg.gpu.rows import _rows
from colbert_pg.load import copy
from colbert_pg.psycopg import register_multivector

ROOT = Path(__file__).parents[3]
EXTRA = bool(os.environ.get("COLBERT_EXTRA"))
PASSAGES, QUESTIONS = (16_373, 1000) if EXTRA else (2000, 500)
DIFFERENCE = 0.005  # of recall
TOP = "SELECT id, maxsim(doc, %s) FROM passages ORDER BY 2 DESC LIMIT 10"


def read(name: str, column: int, n: int) -> list[MultiVector]:
    """Return a column of the first rows of a file of tools/medquad, which makes it."""
    folder = ROOT / "build" / "medquad"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "medquad.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([ROOT / "tools" / "medquad", folder], check=True, capture_output=True)
    with (folder / f"{name}.bin").open("rb") as file:
        blocks = iter(lambda: file.read(1 << 20), b"")
        fields = (row[column] for row in itertools.islice(_rows(blocks), n))
        return [MultiVector.from_binary(field) for field in fields if field is not None]


@pytest.fixture(scope="module")
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dbname=database, autocommit=True, prepare_threshold=None) as conn:
        register_multivector(conn)
        conn.execute("CREATE TABLE passages (id int, doc multivector(128, float2))")
        copy(conn, "passages", list(enumerate(read("passages", 3, PASSAGES))))
        for setting in ("enable_seqscan = off", "enable_sort = off", "jit = off"):
            conn.execute(f"SET {setting}")
        conn.execute("SET maintenance_work_mem = '256MB'")
        yield conn


@pytest.fixture(scope="module")
def questions() -> list[MultiVector]:
    return read("questions", 3, QUESTIONS)


@pytest.fixture(scope="module")
def tenths(conn: psycopg.Connection[Any], questions: list[MultiVector]) -> list[float]:
    """Return the exact tenth score of each question, less what rounding can add."""
    flat = FlatMaxSim(device="numpy")
    flat.load(conn, "passages")
    return [hits[-1].score * (1 - 1e-5) for hits in flat.search(questions, 10)]


def recall(
    conn: psycopg.Connection[Any], questions: list[MultiVector], tenths: list[float]
) -> float:
    found = 0
    for question, tenth in zip(questions, tenths, strict=True):
        rows = conn.execute(TOP, (question,), binary=True).fetchall()
        found += sum(score >= tenth for _, score in rows)
    return found / (10 * len(questions))


@pytest.mark.parametrize("method", ["colbert_ivf", "colbert_hnsw"])
def test_recall_is_that_of_own_training(
    conn: psycopg.Connection[Any], questions: list[MultiVector], tenths: list[float], method: str
) -> None:
    conn.execute(f"CREATE INDEX own ON passages USING {method} (doc)")
    row = conn.execute("SELECT nodes, trained_distance FROM colbert_index_info('own')").fetchone()
    assert row
    nodes, distance = row
    own = recall(conn, questions, tenths)
    conn.execute("DROP INDEX own")
    done = train(conn, "passages", lists=nodes, device="numpy", replace=True)
    assert done.centroids > 0.98 * nodes
    conn.execute(
        f"CREATE INDEX given ON passages USING {method} (doc) WITH (centroids = '{done.table}')"
    )
    row = conn.execute("SELECT nodes, trained_distance FROM colbert_index_info('given')").fetchone()
    assert row
    assert row[0] == done.centroids
    assert row[1] == pytest.approx(distance, rel=0.02)  # nodes are as near to the tokens
    given = recall(conn, questions, tenths)
    print(f"{method}: recall {given:.4f}, by own training {own:.4f}")
    print(f"distance {row[1]:.4f}, by own training {distance:.4f}")
    assert given == pytest.approx(own, abs=DIFFERENCE)
    conn.execute("DROP INDEX given")
