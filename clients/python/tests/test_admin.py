"""Functions for administrators, with each DB-API driver."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pg8000.dbapi
import psycopg
import psycopg2
import pytest
from drivers import where

from colbert_pg import MultiVector
from colbert_pg.admin import (
    Finding,
    IndexInfo,
    LastScan,
    Trial,
    check,
    index_info,
    last_scan,
    last_scans,
    partition_info,
    tune,
)
from colbert_pg.load import copy, create_index

RANDOM = np.random.default_rng(2)
QUERIES = [RANDOM.normal(size=(4, 16)) for _ in range(5)]
CONNECTS: dict[str, Any] = {
    "psycopg": lambda name: psycopg.connect(dbname=name),
    "psycopg2": lambda name: psycopg2.connect(dbname=name),
    "pg8000": lambda name: pg8000.dbapi.connect(os.environ["PGUSER"], **where(name)),
}


@pytest.fixture(scope="module", autouse=True)
def table(database: str) -> None:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("CREATE TABLE docs (id int, doc multivector(16))")
        copy(conn, "docs", [(n, RANDOM.normal(size=(6, 16))) for n in range(300)])
        create_index(conn, "docs")


@pytest.fixture(params=CONNECTS)
def conn(request: pytest.FixtureRequest, database: str) -> Iterator[Any]:
    conn = CONNECTS[request.param](database)
    yield conn
    conn.close()


def test_index_info(conn: Any) -> None:
    info = index_info(conn, "docs_doc_idx")
    assert (info.access_method, info.dims, info.documents) == ("colbert_hnsw", 16, 300)
    assert info.tokens == 1800
    assert info.total_bytes > 0


def test_last_scan(conn: Any) -> None:
    assert last_scan(conn) is None
    cursor = conn.cursor()
    cursor.execute("SET enable_seqscan = off")
    query = MultiVector(QUERIES[0]).to_text()
    cursor.execute("SELECT id FROM docs ORDER BY maxsim(doc, %s) DESC LIMIT 3", (query,))
    scan = last_scan(conn)
    assert scan is not None
    assert (scan.index, scan.query_tokens) == ("docs_doc_idx", 4)
    assert scan.emitted >= 3
    assert isinstance(scan.automatic, list)
    cursor.close()


def test_partitions(conn: Any) -> None:
    cursor = conn.cursor()
    cursor.execute("CREATE TABLE parts (id int, doc multivector(16)) PARTITION BY RANGE (id)")
    for n in range(2):
        bounds = f"FROM ({n * 150}) TO ({n * 150 + 150})"
        cursor.execute(f"CREATE TABLE parts_{n} PARTITION OF parts FOR VALUES {bounds}")
    cursor.execute("INSERT INTO parts SELECT * FROM docs")
    cursor.execute("CREATE INDEX parts_doc ON parts USING colbert_hnsw (doc)")
    infos = partition_info(conn, "parts_doc")
    whole = index_info(conn, "parts_doc")
    assert sorted(infos) == ["parts_0_doc_idx", "parts_1_doc_idx"]
    assert [info.documents for info in infos.values()] == [150, 150]
    assert (whole.documents, whole.quantizer, whole.dims) == (300, "sq8", 16)
    assert partition_info(conn, "docs_doc_idx") == {
        "docs_doc_idx": index_info(conn, "docs_doc_idx")
    }
    cursor.execute("SET enable_seqscan = off")
    query = MultiVector(QUERIES[0]).to_text()
    cursor.execute("SELECT id FROM parts ORDER BY maxsim(doc, %s) DESC LIMIT 3", (query,))
    assert sorted(scan.index for scan in last_scans(conn)) == sorted(infos)
    trials = tune(conn, "parts_doc", QUERIES, target_recall=0.5, k=5)
    assert [trial.partition for trial in trials if trial.partition] == sorted(infos)
    assert [trial.partition for trial in trials if trial.chosen] == [None]
    conn.rollback()
    cursor.close()


def test_check(conn: Any) -> None:
    assert check(conn, "docs_doc_idx") == []
    assert check(conn, "docs_doc_idx", heapallindexed=True, rescore=True) == []


def test_tune(conn: Any) -> None:
    trials = tune(conn, "docs_doc_idx", QUERIES, target_recall=0.9, k=5)
    [chosen] = [trial for trial in trials if trial.chosen]
    assert chosen.recall >= 0.9
    assert all(trial.ms > 0 for trial in trials)


def test_tune_applies(conn: Any, database: str) -> None:
    with psycopg.connect(dbname=database, autocommit=True) as other:
        other.execute("ALTER INDEX docs_doc_idx SET (probes = 777)")
        tune(conn, "docs_doc_idx", [MultiVector(query) for query in QUERIES], k=5, apply=True)
        conn.commit()
        options = other.execute(
            "SELECT 'probes=777' = ANY (reloptions) FROM pg_class WHERE relname = 'docs_doc_idx'"
        ).fetchone()
        other.execute("ALTER INDEX docs_doc_idx RESET (probes)")
    assert options != (True,)


@pytest.mark.parametrize(
    ("cls", "function"),
    [
        (IndexInfo, "colbert_index_info"),
        (LastScan, "colbert_last_scan"),
        (LastScan, "colbert_last_scans"),
        (Finding, "colbert_index_check"),
        (Trial, "colbert_tune"),
    ],
)
def test_members_are_the_columns(database: str, cls: Any, function: str) -> None:
    with psycopg.connect(dbname=database) as conn:
        columns = conn.execute(
            "SELECT name FROM pg_proc, unnest(proargnames, proargmodes) AS a (name, mode) "
            "WHERE proname = %s AND mode = 'o'",
            (function,),
        ).fetchall()
    assert [field.name for field in dataclasses.fields(cls)] == [name for (name,) in columns]
