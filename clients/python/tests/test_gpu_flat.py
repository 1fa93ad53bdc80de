"""FlatMaxSim against the scores of the server, and against itself on several devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import pytest
from devices import NAMES
from hypothesis import given
from hypothesis import strategies as st

from colbert_pg import MultiVector
from colbert_pg.admin import tune
from colbert_pg.gpu import TOLERANCE, FlatMaxSim, Hit, write_exact
from colbert_pg.gpu.flat import _batches
from colbert_pg.load import copy
from colbert_pg.psycopg import register_multivector

DIMS = 24
ELEMENTS = ["float4", "float2", "int8"]
SIMILARITIES = ["maxsim", "maxsim_cosine", "maxsim_l2"]
Documents = list[npt.NDArray[np.float32]]


def make(n: int, longest: int, seed: int) -> Documents:
    """Return documents whose tokens have lengths from 0 to about 20."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        tokens = rng.standard_normal((int(rng.integers(1, longest + 1)), DIMS))
        tokens *= rng.uniform(0.1, 4, (len(tokens), 1))
        tokens[0] *= i % 7 > 0 or len(tokens) == 1
        made.append(tokens.astype(np.float32))
    return made


DOCUMENTS = make(400, 40, 1)
QUERIES = make(25, 9, 2)


@pytest.fixture(scope="module")
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        register_multivector(conn)
        for element in ELEMENTS:
            conn.execute(f"CREATE TABLE {element}s (id int, name text, d multivector({DIMS}))")
            conn.execute(f"ALTER TABLE {element}s ALTER d TYPE multivector({DIMS}, {element})")
            rows: list[tuple[Any, ...]] = [
                (3 * i, f"é{i}", MultiVector(document, element))  # type: ignore[arg-type]
                for i, document in enumerate(DOCUMENTS)
            ]
            copy(conn, f"{element}s", [*rows, (5000, "none", None)])
        yield conn


def error_of(similarity: str, query: npt.NDArray[np.float32]) -> float:
    """Return the bound of the docstring of colbert_pg.gpu.flat."""
    longest = max(float(np.linalg.norm(document, axis=1).max()) for document in DOCUMENTS)
    norms = np.linalg.norm(query, axis=1)
    if similarity == "maxsim_cosine":
        return TOLERANCE * len(query)
    if similarity == "maxsim_l2":
        return float(np.sqrt(TOLERANCE * (norms + longest) * longest).sum())
    return float(TOLERANCE * norms.sum() * longest)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_scores_are_those_of_the_server(
    conn: psycopg.Connection[Any], name: str, element: str, similarity: Any
) -> None:
    flat = FlatMaxSim(device=name, similarity=similarity)
    assert flat.load(conn, f"{element}s", "d") == len(DOCUMENTS) == len(flat)
    order = "ASC" if similarity == "maxsim_l2" else "DESC"
    for query, hits in zip(QUERIES, flat.search(QUERIES, 400), strict=True):
        rows = conn.execute(
            f"SELECT id, {similarity}(d, %s) AS score FROM {element}s WHERE d IS NOT NULL"
            f" ORDER BY score {order}",
            (MultiVector(query),),
        ).fetchall()
        exact = dict(rows)
        error = error_of(similarity, query)
        assert len(hits) == len(exact) == len({hit.id for hit in hits})
        for rank, hit in enumerate(hits):
            assert hit.score == pytest.approx(exact[hit.id], abs=error)
            assert hit.score == pytest.approx(rows[rank][1], abs=error)  # in order up to rounding


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_several_shards_give_the_answers_of_one(name: str, similarity: Any) -> None:
    one = FlatMaxSim(device=name, similarity=similarity)
    three = FlatMaxSim(devices=[name] * 3, similarity=similarity, chunk_bytes=30_000)
    for flat in (one, three):
        flat.add(range(len(DOCUMENTS)), DOCUMENTS)
    assert len(three._chunks) > 10
    assert {id(chunk.device) for chunk in three._chunks} == {id(d) for d in three._devices}
    chosen = set(range(0, 400, 9))
    for ids in (None, chosen):
        for query, a, b in zip(
            QUERIES, one.search(QUERIES, 10, ids=ids), three.search(QUERIES, 10, ids=ids),
            strict=True,
        ):  # fmt: skip
            error = error_of(similarity, query)
            assert [hit.score for hit in a] == pytest.approx([hit.score for hit in b], abs=error)
            if similarity != "maxsim_l2":
                assert [hit.id for hit in a] == [hit.id for hit in b]
            assert ids is None or all(hit.id in chosen for hit in a + b)


def brute(documents: Documents, query: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    tokens = query.astype(np.float64)
    return np.array(
        [(tokens @ document.T.astype(np.float64)).max(1).sum() for document in documents]
    )


@given(seed=st.integers(0, 2**32), n=st.integers(1, 30), k=st.integers(1, 40), data=st.data())
def test_any_documents(seed: int, n: int, k: int, data: st.DataObject) -> None:
    documents, queries = make(n, 6, seed), make(3, 3, seed + 1)
    ids = data.draw(st.none() | st.sets(st.integers(-1, n)))
    flat = FlatMaxSim(device="numpy", chunk_bytes=data.draw(st.sampled_from([1, 500, 10**6])))
    flat._devices[0].max_products = data.draw(st.sampled_from([1, 50, 10**6]))
    flat.add(range(n), documents)
    allowed = [i for i in range(n) if ids is None or i in ids]
    for query, hits in zip(queries, flat.search(queries, k, ids=ids), strict=True):
        scores = brute(documents, query)
        best = sorted((scores[i] for i in allowed), reverse=True)[:k]
        assert [hit.score for hit in hits] == pytest.approx(best, rel=1e-5, abs=1e-3)
        assert [scores[int(hit.id)] for hit in hits] == pytest.approx(best, rel=1e-5, abs=1e-3)


def test_equal_scores_come_in_the_order_of_loading() -> None:
    flat = FlatMaxSim(devices=["numpy", "numpy"], chunk_bytes=1)
    flat.add([7, 3, 5, 1], [[[1.0, 0]], [[2.0, 0]], [[1.0, 9]], [[1.0, 0]]])
    assert flat.search([[[1.0, 0]]], 3) == [[Hit(3, 2), Hit(7, 1), Hit(5, 1)]]
    assert flat.search([[[1.0, 0]]], 3, ids=[1, 5, 2]) == [[Hit(5, 1), Hit(1, 1)]]
    assert flat.search([[[1.0, 0]]], 3, ids=[]) == [[]]
    assert flat.search([]) == []


def test_ids_that_are_no_integers(conn: psycopg.Connection[Any]) -> None:
    flat = FlatMaxSim(device="numpy")
    flat.load(conn, "float2s", "d", id_column="name", where="id >= 600")
    assert len(flat) == 200
    [[hit]] = flat.search(QUERIES[:1], 1, ids={"é250", "é3"})
    assert hit.id == "é250"
    for encoding in ("latin1", "sql_ascii"):
        conn.execute(f"SET client_encoding = {encoding}")
        again = FlatMaxSim(device="numpy")
        again.load(conn, "float2s", "d", id_column="name", where="id >= 600")
        found = again.search(QUERIES[:1], 1, ids={"é250"})
        assert found == [[hit]]
        write_exact(conn, "named", found, replace=True)
        conn.execute("RESET client_encoding")
        assert conn.execute("SELECT id FROM named").fetchall() == [("é250",)]


def test_elements_can_be_converted() -> None:
    """Bytes on the device have the scores of documents of bytes."""
    flat, bytes_ = FlatMaxSim(device="numpy", store="int8"), FlatMaxSim(device="numpy")
    flat.add(range(400), DOCUMENTS)
    bytes_.add(range(400), [MultiVector(document, "int8") for document in DOCUMENTS])
    assert flat.search(QUERIES, 10) == bytes_.search(QUERIES, 10)


def test_what_is_refused() -> None:
    flat = FlatMaxSim(device="numpy")
    assert flat.search(QUERIES[:1], 3) == [[]]
    flat.add([1], [[[1.0, 2.0]]])
    with pytest.raises(ValueError, match="document 2: expected 2 dimensions, not 3"):
        flat.add([2], [[[1.0, 2.0, 3.0]]])
    with pytest.raises(ValueError, match="expected queries of 2 dimensions, not 24"):
        flat.search(QUERIES)
    with pytest.raises(ValueError, match="expected a k of at least 1, not 0"):
        flat.search([[[1.0, 2.0]]], 0)
    with pytest.raises(ValueError, match="zip"):
        flat.add([1, 2], [[[1.0, 2.0]]])
    with pytest.raises(ValueError, match="expected similarity maxsim, maxsim_cosine, maxsim_l2"):
        FlatMaxSim(device="numpy", similarity="l2")  # type: ignore[arg-type]


def test_adding_that_fails_adds_nothing(conn: psycopg.Connection[Any]) -> None:
    """A part of the documents would give answers that look exact."""
    flat = FlatMaxSim(device="numpy", chunk_bytes=1)
    with pytest.raises(ValueError, match="expected 2 dimensions"):
        flat.add([1, 2], [[[1.0, 2.0]], [[1.0]]])
    assert (len(flat), flat.dims) == (0, None)
    assert flat.load(conn, "float2s", "d") == 400
    before = flat.search(QUERIES, 3)
    with pytest.raises(psycopg.errors.DivisionByZero):
        flat.load(conn, "float2s", "d", where="1 / (id - 600) < 2")
    assert len(flat) == 400
    with psycopg.connect(dbname=conn.info.dbname, autocommit=True) as lost:

        def lose(_documents: int) -> None:
            conn.execute("SELECT pg_terminate_backend(%s, 10000)", (lost.info.backend_pid,))
            lost.close()

        with pytest.raises(psycopg.Error):
            flat.load(lost, "float2s", "d", progress=lose)
    assert len(flat) == 400
    assert flat.search(QUERIES, 3) == before


def test_a_long_query_is_not_padding_for_all() -> None:
    """Memory is that of the tokens of some queries, whatever the longest one has."""
    assert list(_batches([2, 2, 2, 30, 1, 1], 100, 10)) == [(0, 3), (3, 4), (4, 6)]
    assert list(_batches([2] * 5, 2, 10)) == [(0, 2), (2, 4), (4, 5)]
    assert list(_batches([], 2, 10)) == []
    flat = FlatMaxSim(device="numpy")
    flat.add(range(400), DOCUMENTS)
    queries = [*QUERIES, np.concatenate(DOCUMENTS)[:5000]]
    assert (
        max(len(part.tokens) for part in flat._parts([flat._prepared(q) for q in queries])) == 5000
    )
    for query, hits in zip(queries, flat.search(queries, 1), strict=True):
        assert hits[0].score == pytest.approx(brute(DOCUMENTS, query).max(), rel=1e-5)


def test_tune_takes_exact_answers(conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE INDEX tuned ON float2s USING colbert_hnsw (d)")
    flat = FlatMaxSim(device="numpy")
    flat.load(conn, "float2s", "d")
    answers = flat.search(QUERIES, 10)
    assert write_exact(conn, "exact", answers) == 250
    with pytest.raises(psycopg.errors.DuplicateTable):
        write_exact(conn, "exact", answers)
    assert write_exact(conn, "exact", answers, replace=True) == 250
    own, given_ = (
        tune(conn, "tuned", QUERIES, target_recall=0.9, exact=exact) for exact in (None, "exact")
    )
    assert own[0].recall == given_[0].recall > 0.9
    write_exact(conn, "exact", [hits[:9] for hits in answers], replace=True)
    with pytest.raises(psycopg.errors.DataException, match="expected 10 exact answers"):
        tune(conn, "tuned", QUERIES, exact="exact")
    conn.execute("DROP INDEX tuned")
