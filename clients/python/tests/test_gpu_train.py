"""Training outside the server: k-means, the sample, the table, and the command."""

from __future__ import annotations

import re
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
from colbert_pg.__main__ import main
from colbert_pg.gpu import kmeans, sample_tokens, train
from colbert_pg.gpu.devices import NumpyDevice, make_device
from colbert_pg.gpu.rows import _rows
from colbert_pg.gpu.sample import Sampler
from colbert_pg.load import copy

DIMS = 16
Points = npt.NDArray[Any]


def clusters(n: int, centers: int, seed: int = 0) -> Points:
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((centers, DIMS))[rng.integers(0, centers, n)]
    return (points + 0.1 * rng.standard_normal((n, DIMS))).astype(np.float16)


def distortion(points: Points, centroids: Points) -> float:
    floats = points.astype(np.float32)
    keys = NumpyDevice().nearest(floats, centroids)[1]
    return float(((floats**2).sum(1) - 2 * keys).mean())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch", [None, 8])
def test_kmeans_finds_clusters(name: str, batch: int | None) -> None:
    points = clusters(8000, 150)
    done: list[float] = []
    found = kmeans.train(points, 400, [make_device(name)], batch=batch, progress=done.append)
    assert len(found.centroids) == 400
    assert len(found.parents) == 20
    assert (np.diff(found.parent_of) >= 0).all()
    assert set(found.parent_of) == set(range(20))
    random = points[np.random.default_rng(1).choice(len(points), 400, replace=False)]
    assert distortion(points, found.centroids) < 0.8 * distortion(points, random.astype(np.float32))
    assert distortion(points, found.centroids) < 0.3  # 0.16 is that of the true centres
    assert done == sorted(done)
    assert done[-1] == 1


@pytest.mark.parametrize("name", NAMES)
def test_several_devices_are_as_good_as_one(name: str) -> None:
    points = clusters(5000, 100)
    one, three = (kmeans.train(points, 300, [make_device(name)] * n) for n in (1, 3))
    assert len(three.centroids) == pytest.approx(len(one.centroids), abs=3)
    ratio = distortion(points, three.centroids) / distortion(points, one.centroids)
    assert ratio == pytest.approx(1, abs=0.02)


def test_centroids_are_distinct() -> None:
    """There are no more centroids than distinct points, and none is equal to another."""
    points = np.repeat(clusters(40, 40), 50, axis=0)
    found = kmeans.train(points, 500, [NumpyDevice()])
    assert len(found.centroids) == 40
    assert distortion(points, found.centroids) < 1e-4
    assert len(np.unique(found.centroids, axis=0)) == len(found.centroids)
    zero = kmeans.train(np.zeros((100, 4), np.float16), 80, [NumpyDevice()])
    assert (zero.parents.shape, zero.centroids.shape) == ((1, 4), (1, 4))
    one = kmeans.train(points[:1], 5, [NumpyDevice()])
    assert one.centroids == pytest.approx(points[:1].astype(np.float32))
    with pytest.raises(ValueError, match="expected lists and tokens, not 0 lists of 2000 tokens"):
        kmeans.train(points, 0, [NumpyDevice()])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(0, 300))
def test_allotment(ndistinct: list[int], spare: int) -> None:
    """Each parent gets a child and no more than it has points, and all wanted are allotted."""
    counts = np.array(ndistinct, np.int64)
    wanted = len(ndistinct) + spare
    children = kmeans._allot(counts, wanted)
    assert children.min() >= 1
    assert (children <= counts).all()
    assert children.sum() == min(wanted, counts.sum())


def test_distinct_points_are_counted_per_parent() -> None:
    points = np.array([[1, 2], [1, 2], [3, 4], [1, 2], [-1, 2]], np.float16)
    groups = [np.array(group, np.int64) for group in ([0, 1, 2], [], [3, 4])]
    assert list(kmeans._count_distinct(points, groups)) == [2, 0, 2]
    assert list(kmeans._count_distinct(points[:, :1], groups)) == [2, 0, 2]


def test_the_sampler_is_uniform_and_bounded() -> None:
    chosen = np.zeros(400)
    for seed in range(300):
        sampler = Sampler(100, 2, np.random.default_rng(seed))
        for start in range(0, 400, 7):
            numbers = np.arange(start, min(start + 7, 400), dtype=np.float32)
            sampler.add(np.stack([numbers, numbers], 1))
        assert len(sampler._keys) == 126
        tokens = sampler.tokens()
        assert tokens.shape == (100, 2)
        chosen[tokens[:, 0].astype(int)] += 1
    assert chosen.sum() == 300 * 100
    assert chosen.min() > 40  # 75 on average, with a deviation of 7.5
    assert chosen.max() < 115
    few = Sampler(1000, 2, np.random.default_rng(0))
    few.add(np.ones((3, 2), np.float32))
    assert few.tokens().shape == (3, 2)


def test_rows_of_messages_of_any_size() -> None:
    data = b"PGCOPY\n\xff\r\n\0" + bytes(4) + b"\0\0\0\2ab"
    data += b"\0\2\0\0\0\3abc\xff\xff\xff\xff" + b"\0\1\0\0\0\0" + b"\xff\xff"
    for size in (1, 2, 5, 100):
        blocks = (data[at : at + size] for at in range(0, len(data), size))
        assert list(_rows(blocks)) == [(b"abc", None), (b"",)]
    with pytest.raises(ValueError, match="within a row"):
        list(_rows(iter([data[:-5]])))
    with pytest.raises(ValueError, match="signature"):
        list(_rows(iter([b"PGCOPX" + data[6:]])))


@pytest.fixture(scope="module")
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute(f"CREATE TABLE docs (id int, doc multivector({DIMS}, float2))")
        points = clusters(6000, 200).reshape(600, 10, DIMS)
        copy(conn, "docs", [(i, points[i]) for i in range(600)])
        conn.execute("INSERT INTO docs VALUES (-1, NULL)")
        conn.execute("CREATE SCHEMA other")
        yield conn


def info(conn: psycopg.Connection[Any], index: str) -> Any:
    return conn.execute(
        "SELECT nodes, centroids::text, (SELECT count(*) FROM colbert_index_check(%s))"
        " FROM colbert_index_info(%s)",
        (index, index),
    ).fetchone()


@pytest.mark.parametrize("method", ["colbert_ivf", "colbert_hnsw"])
@pytest.mark.parametrize("similarity", ["maxsim", "maxsim_cosine", "maxsim_l2"])
def test_an_index_takes_the_centroids(
    conn: psycopg.Connection[Any], method: str, similarity: Any
) -> None:
    lines: list[str] = []
    done = train(
        conn,
        "docs",
        lists=200,
        into="other.centroids",
        similarity=similarity,
        devices=["numpy", "numpy"],
        replace=True,
        progress=lines.append,
    )
    assert (done.table, done.documents, done.tokens) == ('"other"."centroids"', 600, 6000)
    assert done.sampled == 6000
    assert lines[-1] == f"writing {done.centroids} centroids"
    opclass = f"multivector_{similarity.replace('maxsim_', '')}_ops"
    conn.execute(
        f"CREATE INDEX given ON docs USING {method} (doc {opclass})"
        f" WITH (centroids = '{done.table}')"
    )
    assert info(conn, "given") == (done.centroids, "other.centroids", 0)
    conn.execute("DROP INDEX given")


def test_the_seed_decides(conn: psycopg.Connection[Any]) -> None:
    tables = []
    for seed in (1, 1, 2):
        train(conn, "docs", lists=100, into="seeded", seed=seed, device="numpy", replace=True)
        tables.append(conn.execute("SELECT * FROM seeded ORDER BY id").fetchall())
    assert tables[0] == tables[1]
    assert tables[0] != tables[2]
    conn.execute("DROP TABLE seeded")


def test_long_tokens_are_scaled(conn: psycopg.Connection[Any]) -> None:
    """Centroids are means of the tokens, whatever half precision holds."""
    for factor in (1e-9, 1e7):
        conn.execute("CREATE TABLE long (doc multivector)")
        points = clusters(3000, 50).astype(np.float32) * np.float32(factor)
        copy(conn, "long", [(MultiVector(points[i : i + 10]),) for i in range(0, 3000, 10)])
        done = train(conn, "long", lists=100, device="numpy")
        rows = conn.execute(
            "SELECT embedding FROM long_doc_centroids WHERE parent IS NOT NULL"
        ).fetchall()
        centroids = np.array([row[0] for row in rows], np.float32)
        assert len(centroids) == done.centroids
        scaled = (points / factor).astype(np.float16)
        assert distortion(scaled, (centroids / factor).astype(np.float32)) < 0.6  # of 16
        conn.execute("DROP TABLE long, long_doc_centroids")


def test_the_sample_is_prepared(conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE TABLE few (doc multivector(2))")
    copy(conn, "few", [(MultiVector([[3, 4], [0, 0], [3, 4], [0, 5]]),)])
    for similarity, expected in (
        ("maxsim", [[0, 1.25], [0.75, 1]]),
        ("maxsim_cosine", [[0, 1], [0.6, 0.8]]),
        ("maxsim_l2", [[0, 0], [0, 1.25], [0.75, 1]]),
    ):
        found = sample_tokens(conn, "few", "doc", 10, similarity=similarity)  # type: ignore[arg-type]
        tokens = sorted(found.tokens.tolist())
        assert tokens == [pytest.approx(token, abs=1e-3) for token in expected]
        assert found.scale == (1 if similarity == "maxsim_cosine" else 0.25)
    conn.execute("DROP TABLE few")


def test_the_first_documents_do_not_set_the_scale_by_chance(
    conn: psycopg.Connection[Any],
) -> None:
    """Zeros are of any scale, and the smallest numbers of float4 have no reciprocal in it."""
    for first, token, scale in (
        ([[0, 0]], [3e-9, 4e-9], 2.0**28),
        ([[0, 0]], [3e9, 4e9], 2.0**-32),
        ([[0, 0]], [3e-41, 4e-41], 2.0**126),
        ([[1e-3, 0]], [3000, 4000], 2.0**-12),
        ([[1e-30, 0]], [3e17, 4e17], 2.0**-59),
        ([[30, 0]], [3, 4], 2.0**-5),
    ):
        conn.execute("CREATE TABLE scales (doc multivector(2))")
        copy(conn, "scales", [(MultiVector(first),), (MultiVector([token]),)])
        for similarity in ("maxsim", "maxsim_l2"):
            found = sample_tokens(conn, "scales", "doc", 10, similarity=similarity)
            assert found.scale == scale
            assert np.isfinite(found.tokens).all()
            last = found.tokens[np.argmax(np.abs(found.tokens[:, 1]))].astype(float)
            assert last / scale == pytest.approx(token, rel=2e-3, abs=1e-43)
        conn.execute("DROP TABLE scales")


def test_what_train_refuses(conn: psycopg.Connection[Any]) -> None:
    conn.execute('CREATE TABLE "a ""b" (id int, "d c" multivector)')
    with pytest.raises(ValueError, match="column d c has no tokens"):
        train(conn, psycopg.sql.Identifier('a "b'), "d c", lists=3, device="numpy")
    copy(conn, psycopg.sql.Identifier('a "b'), [(1, MultiVector([[1, 2]])), (2, [[1, 2, 3]])])
    with pytest.raises(ValueError, match="expected 2 dimensions in each document, not 3"):
        train(conn, psycopg.sql.Identifier('a "b'), "d c", lists=3, device="numpy")
    conn.execute('DELETE FROM "a ""b" WHERE id = 2')
    done = train(conn, psycopg.sql.Identifier('a "b'), "d c", lists=3, device="numpy")
    assert done.table == '"public"."a ""b_d c_centroids"'
    assert conn.execute('SELECT * FROM "a ""b_d c_centroids" ORDER BY id').fetchall() == [
        (1, None, [1, 2]),
        (2, 1, [1, 2]),
    ]
    with pytest.raises(ValueError, match="exists: pass another name, or replace it"):
        train(conn, psycopg.sql.Identifier('a "b'), "d c", lists=3, device="numpy")
    with pytest.raises(ValueError, match="too long a name"):
        train(conn, "docs", lists=3, into="x" * 64, device="numpy")
    for options in ({"lists": 0}, {"batch": 0}, {"iterations": 0}, {"tokens_per_list": -1}):
        [(name, number)] = options.items()
        with pytest.raises(ValueError, match=f"expected {name} of at least 1, not {number}"):
            train(conn, "docs", device="numpy", **{"lists": 3, **options})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected similarity maxsim, .*, not 'l2'"):
        train(conn, "docs", lists=3, similarity="l2", device="numpy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected TABLE or SCHEMA.TABLE, not a\.b\.c"):
        train(conn, "docs", lists=3, into="a.b.c", device="numpy")
    lines: list[str] = []
    with pytest.raises(psycopg.errors.InvalidSchemaName):
        train(conn, "docs", lists=3, into="nowhere.c", device="numpy", progress=lines.append)
    conn.execute("CREATE ROLE reads; GRANT SELECT ON docs TO reads")
    conn.execute("GRANT USAGE ON SCHEMA other TO reads; SET ROLE reads")
    with pytest.raises(ValueError, match=r'no right to create table "other"\."c"'):
        train(conn, "docs", lists=3, into="other.c", device="numpy", progress=lines.append)
    conn.execute("RESET ROLE; DROP OWNED BY reads; DROP ROLE reads")
    assert lines == []  # before it reads the table
    with pytest.raises(psycopg.errors.UndefinedTable):
        train(conn, "nowhere", lists=3, device="numpy")


def test_the_command(
    conn: psycopg.Connection[Any], database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dsn = ["--dsn", f"dbname={database}"]
    command = ["train", *dsn, "--table", "docs", "--lists", "200", "--device", "numpy,numpy"]
    assert main([*command, "--progress", "--batch", "16"]) == 0
    out, err = capsys.readouterr()
    assert re.match(r"\d+ centroids and 14 parents of 6000 tokens, sampled from 6000 of 600 ", out)
    assert "training, " in err
    statement = out.splitlines()[-1]
    assert statement == (
        "CREATE INDEX ON docs USING colbert_ivf (doc multivector_maxsim_ops)"
        """ WITH (centroids = '"public"."docs_doc_centroids"');"""
    )
    conn.execute(statement)
    assert info(conn, "docs_doc_idx")[1] == "docs_doc_centroids"
    assert main(command) == 1
    assert "exists: pass another name, or replace it" in capsys.readouterr().err
    assert main([*command, "--replace"]) == 0
    conn.execute("REINDEX INDEX docs_doc_idx")
    conn.execute("DROP INDEX docs_doc_idx")
    conn.execute('CREATE TABLE other."Order" AS SELECT id, doc AS "user" FROM docs')
    command[4:5] = ["other.Order", "--column", "user"]
    capsys.readouterr()
    assert main(command) == 0
    statement = capsys.readouterr().out.splitlines()[-1]
    assert statement.startswith('CREATE INDEX ON other."Order" USING colbert_ivf ("user" multi')
    conn.execute(statement)
    conn.execute('DROP TABLE other."Order"')
