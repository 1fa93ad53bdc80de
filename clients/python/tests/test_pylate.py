"""The index for PyLate, called as pylate.retrieve.ColBERT 1.6.0 calls it.

tests/frameworks/test_signatures.py compares it with PyLate's own classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql
from psycopg_pool import ConnectionPool
from test_multivector import FakeTensor

from colbert_pg.integrations.pylate import ColbertIndex

RANDOM = np.random.default_rng(17)
DOCS = [RANDOM.normal(size=(RANDOM.integers(3, 9), 8)).astype(np.float32) for _ in range(40)]
IDS = [f"d{number}" for number in range(len(DOCS))]
QUERIES = [RANDOM.normal(size=(4, 8)).astype(np.float32) for _ in range(3)]


class Tensor(FakeTensor):
    """A fake of torch.Tensor, of one or more dimensions."""

    def __init__(self, array: Any) -> None:
        super().__init__(array, "torch.float32")
        self.ndim = array.ndim

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, place: int) -> Tensor:
        return Tensor(self.array[place])


def best(query: Any, ids: list[str] = IDS) -> list[str]:
    scores = {key: (query @ DOCS[IDS.index(key)].T).max(axis=1).sum() for key in ids}
    return sorted(scores, key=lambda key: -scores[key])


def keys(results: list[Any]) -> list[str]:
    return [result["id"] for result in results]


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        yield conn


@pytest.fixture
def index(conn: psycopg.Connection[Any]) -> ColbertIndex:
    index = ColbertIndex(conn, "pages", override=True, element="float4")
    assert index.add_documents(IDS, DOCS, batch_size=7) is index
    return index


def test_a_retriever_gets_results(index: ColbertIndex) -> None:
    """retrieve() of an end-to-end index is this call."""
    assert index.is_end_to_end_index
    found = index(queries_embeddings=QUERIES, k=5, subset=None)
    assert [keys(results) for results in found] == [best(query)[:5] for query in QUERIES]
    score = (QUERIES[0] @ DOCS[IDS.index(found[0][0]["id"])].T).max(axis=1).sum()
    assert found[0][0]["score"] == pytest.approx(score, rel=1e-5)
    assert len(index(QUERIES)[0]) == 10


def test_embeddings_of_all_kinds(index: ColbertIndex) -> None:
    """PyLate's encode gives an array of one text; of several a list, an array, or a tensor."""
    wanted = best(QUERIES[0])[:5]
    for one in (QUERIES[0], Tensor(QUERIES[0]), QUERIES[0].tolist(), [QUERIES[0]]):
        assert [keys(results) for results in index(one, k=5)] == [wanted]
    padded = np.zeros((2, 6, 8), np.float32)
    padded[0, :4], padded[1, :4] = QUERIES[0], QUERIES[1]
    for many in (padded, Tensor(padded), padded.tolist(), [Tensor(padded[0]), padded[1]]):
        assert [keys(results) for results in index(many, k=5)] == [wanted, best(QUERIES[1])[:5]]
    assert index([], k=5) == []


def test_padding_is_no_token(index: ColbertIndex) -> None:
    """Below zero, a token of zeros would be the best match."""
    padded = np.zeros((9, 8), np.float32)
    padded[:2] = np.abs(DOCS[0][:2])
    index.add_documents("padded", padded)
    [results] = index(-np.ones((1, 8), np.float32), k=50)
    [score] = [result["score"] for result in results if result["id"] == "padded"]
    assert score == pytest.approx(-padded[:2].sum(axis=1).min(), rel=1e-5)
    assert index.get_documents_embeddings([["padded"]])[0][0].shape == (2, 8)


def test_subsets(index: ColbertIndex) -> None:
    one = index(QUERIES, k=5, subset=["d3", "d1", "d2", "nothing"])
    assert [keys(results) for results in one] == [best(q, ["d1", "d2", "d3"]) for q in QUERIES]
    each = index(QUERIES[:2], k=5, subset=[["d1"], []])
    assert [keys(results) for results in each] == [["d1"], []]
    assert index(QUERIES, subset=[]) == [[], [], []]
    with pytest.raises(ValueError, match="a subset per query, not 1 for 3 queries"):
        index(QUERIES, subset=[["d1"]])


def test_documents_are_replaced_and_removed(index: ColbertIndex) -> None:
    index.add_documents(["d1", "new"], [QUERIES[0] * 9, QUERIES[1] * 9])
    assert keys(index(QUERIES[0], k=1)[0]) == ["d1"]
    assert index.remove_documents(["d1", "unknown"]) is index
    index.remove_documents("new")
    left = [key for key in best(QUERIES[0]) if key != "d1"]
    assert keys(index(QUERIES[0], k=100)[0]) == left


def test_embeddings_are_returned(index: ColbertIndex) -> None:
    groups = index.get_documents_embeddings([["d2", "d0"], [], ["d2"]])
    assert [len(group) for group in groups] == [2, 0, 1]
    np.testing.assert_array_equal(groups[0][0], DOCS[2])
    np.testing.assert_array_equal(groups[0][1], DOCS[0])
    with pytest.raises(KeyError, match="unknown"):
        index.get_documents_embeddings([["unknown"]])


def test_the_table_is_reopened_and_has_one_index(
    index: ColbertIndex, conn: psycopg.Connection[Any]
) -> None:
    again = ColbertIndex(conn, "pages", element="float4")
    again.add_documents([1], [QUERIES[0] * 9])
    assert keys(again(QUERIES[0], k=1)[0]) == keys(index(QUERIES[0], k=1)[0]) == ["1"]
    methods = conn.execute(
        "SELECT amname FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
        "JOIN pg_am a ON a.oid = relam WHERE indrelid = 'pages'::regclass ORDER BY 1"
    ).fetchall()
    assert methods == [("btree",), ("colbert_hnsw",)]


def test_options_and_a_pool(database: str) -> None:
    with ConnectionPool(f"dbname={database}", min_size=1, open=True) as pool:
        index = ColbertIndex(pool, "public.lists", method="colbert_ivf", quantizer="bit")
        index.add_documents(IDS, DOCS)
        assert keys(index(QUERIES[0], k=1)[0]) == best(QUERIES[0])[:1]
        with pool.connection() as conn:
            options = conn.execute(
                "SELECT reloptions FROM pg_class c JOIN pg_am a ON a.oid = relam "
                "WHERE amname = 'colbert_ivf'"
            ).fetchone()
            assert options == (["quantizer=bit"],)
        exact = ColbertIndex(pool, "exact", method=None)
        exact.add_documents(IDS, DOCS)
        with pool.connection() as conn:
            count = conn.execute(
                "SELECT count(*) FROM pg_index WHERE indrelid = 'exact'::regclass"
            ).fetchone()
            assert count == (1,)


def test_a_hostile_name(conn: psycopg.Connection[Any]) -> None:
    index = ColbertIndex(conn, sql.Identifier('"; DROP TABLE pages; -- %s'))
    index.add_documents(["'; --", "%s"], DOCS[:2])
    assert len(index(QUERIES[0], k=9, subset=["'; --"])[0]) == 1
    assert len(index.get_documents_embeddings([["%s", "'; --"]])[0]) == 2


def test_what_cannot_be_added(index: ColbertIndex, conn: psycopg.Connection[Any]) -> None:
    with pytest.raises(ValueError, match="an embedding per id, not 2 for 1 ids"):
        index.add_documents(["a"], DOCS[:2])
    with pytest.raises(ValueError, match="batch_size of at least 1, not 0"):
        index.add_documents(["a"], DOCS[:1], batch_size=0)
    with pytest.raises(ValueError, match="has 8 dims, not 4"):
        index.add_documents(["a"], [np.ones((2, 4))])
    with pytest.raises(psycopg.errors.UndefinedTable):
        ColbertIndex(conn, "empty")(QUERIES)
