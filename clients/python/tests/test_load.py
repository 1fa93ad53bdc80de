"""Loading by COPY: batches, bad rows, resuming, progress; and building an index."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Json, Jsonb

from colbert_pg import MultiVector
from colbert_pg.load import BadRowError, ResumeError, acopy, copy, create_index

Connection = psycopg.Connection[Any]
Copy = Callable[..., int]
TABLE = """
    DROP TABLE IF EXISTS docs, colbert_pg_loads, parents;
    CREATE TABLE parents (id int PRIMARY KEY);
    INSERT INTO parents VALUES (1);
    CREATE TABLE docs (
        id int PRIMARY KEY, body text CHECK (body <> 'bad'), doc multivector(4, float2),
        parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED,
        twice int GENERATED ALWAYS AS (id * 2) STORED
    )
"""
COLUMNS = ["id", "body", "doc"]


@pytest.fixture
def conn(database: str) -> Iterator[Connection]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute(TABLE)
        yield conn


def acopy_by_run(conn: Connection, table: Any, rows: Any, *arguments: Any, **options: Any) -> int:
    """Run acopy, its rows being asynchronous, on a connection to the same database."""

    async def asynchronous() -> AsyncIterator[Any]:
        for row in rows:
            yield row

    async def run() -> int:
        async with await psycopg.AsyncConnection.connect(conn.info.dsn, autocommit=True) as other:
            return await acopy(other, table, asynchronous(), *arguments, **options)

    return asyncio.run(run())


@pytest.fixture(params=[copy, acopy_by_run], ids=["sync", "async"])
def any_copy(request: pytest.FixtureRequest) -> Copy:
    function: Copy = request.param
    return function


def rows_of(count: int) -> list[tuple[Any, ...]]:
    return [(n, f"body {n}", np.full((2, 4), n)) for n in range(1, count + 1)]


def ids(conn: Connection) -> list[int]:
    return [row[0] for row in conn.execute("SELECT id FROM docs ORDER BY id")]


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_all_rows_are_loaded(conn: Connection, any_copy: Copy, batch: int) -> None:
    assert any_copy(conn, "docs", iter(rows_of(25)), COLUMNS, batch=batch) == 25
    assert ids(conn) == list(range(1, 26))
    assert conn.execute("SELECT doc::text FROM docs WHERE id = 3").fetchone() == (
        "[[3,3,3,3],[3,3,3,3]]",
    )


def test_no_rows(conn: Connection, any_copy: Copy) -> None:
    assert any_copy(conn, "docs", [], COLUMNS) == 0


def test_all_columns_and_a_schema(conn: Connection) -> None:
    rows = [(1, None, None, 1), (2, "two", MultiVector([[1.0] * 4], "int8"), None)]
    assert copy(conn, "public.docs", rows) == 2
    assert conn.execute("SELECT count(doc), max(twice) FROM docs").fetchone() == (1, 4)
    conn.execute('CREATE TABLE "A.b" (doc multivector)')
    assert copy(conn, psycopg.sql.Identifier("A.b"), [(np.ones((1, 2)),)]) == 1


def test_types_without_a_binary_form_go_as_text(conn: Connection) -> None:
    conn.execute("CREATE TEMP TABLE moods (mood regclass, doc multivector)")
    assert copy(conn, "moods", [("docs", np.ones((1, 2))), (None, None)]) == 2
    assert conn.execute("SELECT mood::text, doc::text FROM moods").fetchall() == [
        ("docs", "[[1,1]]"),
        (None, None),
    ]


BAD_ROWS = {
    "dims": ((0, "dims", np.ones((2, 5))), "expected 4 dimensions, not 5"),
    "shape": ((0, "shape", np.ones(4)), "expected 2 dimensions"),
    "nan": ((0, "nan", [[float("nan")] * 4]), "expected finite numbers"),
    "check": ((0, "bad", None), "violates check constraint"),
    "duplicate": ((1, "again", None), "duplicate key"),
    "null": ((None, "null", None), "null value"),
    "type": (("x", "type", None), ""),
    "short": ((0,), "expected 3 values, not 1"),
    "zero byte": ((0, "a\0b", None), ""),
}


@pytest.mark.parametrize("batch", [1, 10, 100])
@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_named(conn: Connection, any_copy: Copy, name: str, batch: int) -> None:
    bad, message = BAD_ROWS[name]
    rows = [*rows_of(25), bad, (26, "after", None)]
    with pytest.raises(BadRowError, match=f"row 26: .*{message}") as caught:
        any_copy(conn, "docs", rows, COLUMNS, batch=batch)
    assert (caught.value.number, caught.value.loaded) == (26, 25)
    assert caught.value.row is bad
    assert caught.value.__cause__ is not None
    assert ids(conn) == list(range(1, 26))


def test_deferred_constraints(conn: Connection, any_copy: Copy) -> None:
    rows = [(n, 1 if n != 5 else 2) for n in range(1, 9)]
    with pytest.raises(BadRowError, match=r"row 5: .*foreign key"):
        any_copy(conn, "docs", rows, ["id", "parent"])
    assert ids(conn) == [1, 2, 3, 4]


def test_bad_rows_are_handed_over(conn: Connection, any_copy: Copy) -> None:
    rows = rows_of(30)
    wrong = {4: (4, "bad", None), 5: (5, "ok", np.ones((1, 3))), 30: (1, "again", None)}
    for number, row in wrong.items():
        rows[number - 1] = row
    found: list[BadRowError] = []
    assert any_copy(conn, "docs", rows, COLUMNS, batch=8, on_bad_row=found.append) == 27
    assert {bad.number: bad.row for bad in found} == wrong
    assert ids(conn) == [n for n in range(1, 31) if n not in wrong]


def test_faults_that_are_not_of_a_row(conn: Connection, any_copy: Copy) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        any_copy(conn, "nowhere", rows_of(3), COLUMNS)
    with pytest.raises(ValueError, match="has no column nothing"):
        any_copy(conn, "docs", rows_of(3), ["id", "nothing"])
    conn.execute("CREATE ROLE reader; GRANT SELECT ON docs TO reader; SET ROLE reader")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        copy(conn, "docs", rows_of(3), COLUMNS)
    conn.execute("RESET ROLE; DROP OWNED BY reader; DROP ROLE reader")


def test_errors_of_the_rows_themselves(conn: Connection) -> None:
    def broken() -> Iterator[tuple[Any, ...]]:
        yield from rows_of(15)
        raise OSError("the file ends")

    with pytest.raises(OSError, match="the file ends"):
        copy(conn, "docs", broken(), COLUMNS, batch=10)
    assert ids(conn) == list(range(1, 11))


def test_a_load_is_resumed(conn: Connection, any_copy: Copy) -> None:
    rows = rows_of(25)
    rows[12] = (13, "bad", None)
    for _ in range(2):
        with pytest.raises(BadRowError, match="row 13"):
            any_copy(conn, "docs", rows, COLUMNS, batch=5, resume="docs.jsonl")
        assert ids(conn) == list(range(1, 13))
    rows[12] = (13, "mended", None)
    assert any_copy(conn, "docs", rows, COLUMNS, batch=5, resume="docs.jsonl") == 13
    assert any_copy(conn, "docs", rows, COLUMNS, resume="docs.jsonl") == 0
    assert any_copy(conn, "docs", rows_of(26), COLUMNS, resume="docs.jsonl") == 1
    assert ids(conn) == list(range(1, 27))


def test_bad_rows_are_handed_over_once(conn: Connection, any_copy: Copy) -> None:
    rows = [*rows_of(3), (4, "bad", None)]
    found: list[BadRowError] = []
    for _ in range(2):
        any_copy(conn, "docs", rows, COLUMNS, resume="docs.jsonl", on_bad_row=found.append)
    assert [bad.number for bad in found] == [4]


def test_a_name_is_of_one_table(conn: Connection, any_copy: Copy) -> None:
    conn.execute("DROP TABLE IF EXISTS others; CREATE TABLE others (LIKE docs INCLUDING ALL)")
    with pytest.raises(BadRowError):  # nothing is loaded, and the name is free
        any_copy(conn, "others", [(None, "no id", None)], COLUMNS, resume="docs.jsonl")
    assert any_copy(conn, "docs", rows_of(3), COLUMNS, resume="docs.jsonl") == 3
    with pytest.raises(ResumeError, match=r'"docs.jsonl" is .* another table, docs,'):
        any_copy(conn, "others", rows_of(3), COLUMNS, resume="docs.jsonl")
    assert any_copy(conn, "public.docs", rows_of(3), COLUMNS, resume="docs.jsonl") == 0
    conn.execute("DROP TABLE docs; ALTER TABLE others RENAME TO docs")
    with pytest.raises(ResumeError, match=r"another table, [0-9]+, perhaps one that was dropped"):
        any_copy(conn, "docs", rows_of(3), COLUMNS, resume="docs.jsonl")


def test_a_table_that_was_truncated(conn: Connection, any_copy: Copy) -> None:
    assert any_copy(conn, "docs", rows_of(3), COLUMNS, resume="docs.jsonl") == 3
    conn.execute("TRUNCATE docs")
    with pytest.raises(ResumeError, match=r'3 rows .* "docs.jsonl", but table "docs" is empty'):
        any_copy(conn, "docs", rows_of(4), COLUMNS, resume="docs.jsonl")
    conn.execute("DELETE FROM colbert_pg_loads WHERE relation = 'docs'::regclass")
    assert any_copy(conn, "docs", rows_of(4), COLUMNS, resume="docs.jsonl") == 4


def test_partitions_that_were_truncated(conn: Connection) -> None:
    conn.execute("""
        DROP TABLE IF EXISTS parted;
        CREATE TABLE parted (id int, body text, doc multivector) PARTITION BY RANGE (id);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (3);
        CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (3) TO (9)
    """)
    assert copy(conn, "parted", rows_of(5), COLUMNS, resume="parted") == 5
    conn.execute("TRUNCATE parted_1")
    assert copy(conn, "parted", rows_of(5), COLUMNS, resume="parted") == 0
    conn.execute("TRUNCATE parted")
    with pytest.raises(ResumeError, match="is empty"):
        copy(conn, "parted", rows_of(5), COLUMNS, resume="parted")


def test_rows_that_were_deleted_or_moved(conn: Connection, any_copy: Copy) -> None:
    """They were loaded, and whoever deletes them wants them gone."""
    any_copy(conn, "docs", rows_of(3), COLUMNS, resume="docs.jsonl")
    conn.execute("VACUUM FULL docs")
    assert any_copy(conn, "docs", rows_of(4), COLUMNS, resume="docs.jsonl") == 1
    conn.execute("DELETE FROM docs")
    assert any_copy(conn, "docs", rows_of(5), COLUMNS, resume="docs.jsonl") == 1
    assert ids(conn) == [5]


def test_a_role_that_may_only_insert(conn: Connection) -> None:
    copy(conn, "docs", rows_of(3), COLUMNS, resume="docs.jsonl")
    conn.execute("""
        TRUNCATE docs;
        CREATE ROLE writer;
        GRANT INSERT ON docs TO writer;
        GRANT SELECT, INSERT, UPDATE ON colbert_pg_loads TO writer;
        SET ROLE writer
    """)
    assert copy(conn, "docs", rows_of(4), COLUMNS, resume="docs.jsonl") == 1
    conn.execute("RESET ROLE; DROP OWNED BY writer; DROP ROLE writer")


def test_loads_of_an_earlier_version(conn: Connection, any_copy: Copy) -> None:
    conn.execute("CREATE TABLE colbert_pg_loads (name text PRIMARY KEY, rows bigint NOT NULL)")
    conn.execute("INSERT INTO colbert_pg_loads VALUES ('docs.jsonl', 2)")
    assert any_copy(conn, "docs", rows_of(3), COLUMNS, resume="docs.jsonl") == 1
    assert ids(conn) == [3]
    conn.execute("TRUNCATE docs")
    with pytest.raises(ResumeError, match="is empty"):
        any_copy(conn, "docs", rows_of(4), COLUMNS, resume="docs.jsonl")


def test_two_loads_under_a_name(conn: Connection, any_copy: Copy) -> None:
    """The one that comes second at a batch stops, and no row is loaded twice."""
    conn.execute("ALTER TABLE docs DROP CONSTRAINT docs_pkey")

    def slow() -> Iterator[tuple[Any, ...]]:
        for row in rows_of(6):
            if row[0] == 4:
                with psycopg.connect(conn.info.dsn, autocommit=True) as other:
                    assert copy(other, "docs", rows_of(5), COLUMNS, resume="docs.jsonl") == 2
            yield row

    with pytest.raises(ResumeError, match=r'another load .* "docs.jsonl" goes on'):
        any_copy(conn, "docs", slow(), COLUMNS, batch=3, resume="docs.jsonl")
    assert ids(conn) == [1, 2, 3, 4, 5]
    assert any_copy(conn, "docs", rows_of(6), COLUMNS, resume="docs.jsonl") == 1


def test_two_loads_that_begin_at_once(conn: Connection) -> None:
    conn.execute("ALTER TABLE docs DROP CONSTRAINT docs_pkey")
    barrier = threading.Barrier(2)

    def load() -> int | ResumeError:
        def rows() -> Iterator[tuple[Any, ...]]:
            barrier.wait(30)
            yield from rows_of(20)

        with psycopg.connect(conn.info.dsn, autocommit=True) as other:
            try:
                return copy(other, "docs", rows(), COLUMNS, batch=7, resume="docs.jsonl")
            except ResumeError as e:
                return e

    with ThreadPoolExecutor(2) as pool:
        results = [future.result() for future in [pool.submit(load) for _ in range(2)]]
    assert any(isinstance(result, ResumeError) for result in results)
    copy(conn, "docs", rows_of(20), COLUMNS, resume="docs.jsonl")
    assert ids(conn) == list(range(1, 21))


def test_in_a_transaction(conn: Connection) -> None:
    with conn.transaction(force_rollback=True):
        assert copy(conn, "docs", rows_of(3), COLUMNS, batch=2) == 3
    assert ids(conn) == []
    with psycopg.connect(conn.info.dsn) as other:  # not autocommit
        copy(other, "docs", rows_of(3), COLUMNS)
        other.rollback()
    assert ids(conn) == [1, 2, 3]


def test_progress(conn: Connection, any_copy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, int | None]] = []
    any_copy(
        conn, "docs", rows_of(25), COLUMNS, batch=10, total=25, progress=lambda *n: seen.append(n)
    )
    assert seen == [(0, 25), (10, 25), (20, 25), (25, 25)]
    conn.execute("TRUNCATE docs")
    any_copy(conn, "docs", rows_of(25), COLUMNS, total=25, progress=True)
    assert "25/25" in capsys.readouterr().err


def test_progress_without_tqdm(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match="pip install 'colbert-pg"):
        copy(conn, "docs", rows_of(1), COLUMNS, progress=True)


VALUES: dict[str, tuple[str, list[Any], list[str | None]]] = {
    "boolean": ("boolean", [True, np.bool_(False), 1, None], ["true", "false", "true", None]),
    "real": ("real", [1.5, 3, float("inf"), 3.4e38], ["1.5", "3", "Infinity", "3.4e+38"]),
    "jsonb": (
        "jsonb",
        ['{"a": 1.00}', {"a": 1}, ["b"], Jsonb("text"), 2, True, None],
        ['{"a": 1.00}', '{"a": 1}', '["b"]', '"text"', "2", "true", None],
    ),
    "json": ("json", ['{"a":  1}', {"a": 1}, Json("text")], ['{"a":  1}', '{"a": 1}', '"text"']),
    "arrays": ("boolean[]", [[True, None], [[False]]], ["{t,NULL}", "{{f}}"]),
}
BAD_VALUES: dict[str, tuple[str, Any, str]] = {
    "a string": ("boolean", "false", "expected True or False for type boolean, not 'false'"),
    "a number": ("boolean", 2, "expected True or False for type boolean, not 2"),
    "in an array": ("boolean[]", ["false"], "expected True or False"),
    "too large": ("real", 1e300, r"1e\+300 is out of range for type real"),
    "rounded to infinity": ("real", 3.4028236e38, "out of range for type real"),
    "too large for a float": ("real", Decimal("1e400"), "out of range for type real"),
    "too small": ("real", np.float64(-1e-300), "out of range for type real"),
    "real in an array": ("real[]", [1.0, 1e300], "out of range for type real"),
    "no JSON": ("jsonb", "text", "invalid input syntax for type json"),
    "an object in no JSON": ("json", {"a": object()}, "not JSON serializable"),
}


@pytest.mark.parametrize("second", ["int", "regclass"], ids=["binary", "text"])
@pytest.mark.parametrize("name", VALUES)
def test_values(conn: Connection, any_copy: Copy, name: str, second: str) -> None:
    """Both formats store the same."""
    type_, given_values, stored = VALUES[name]
    conn.execute(f"DROP TABLE IF EXISTS given; CREATE TABLE given (value {type_}, other {second})")
    assert any_copy(conn, "given", [(v, None) for v in given_values]) == len(given_values)
    assert [row[0] for row in conn.execute("SELECT value::text FROM given")] == stored


@pytest.mark.parametrize("second", ["int", "regclass"], ids=["binary", "text"])
@pytest.mark.parametrize("name", BAD_VALUES)
def test_values_that_are_refused(conn: Connection, any_copy: Copy, name: str, second: str) -> None:
    type_, value, message = BAD_VALUES[name]
    conn.execute(f"DROP TABLE IF EXISTS given; CREATE TABLE given (value {type_}, other {second})")
    with pytest.raises(BadRowError, match=f"row 2: .*{message}"):
        any_copy(conn, "given", [(None, None), (value, None)])
    assert conn.execute("SELECT count(value), count(*) FROM given").fetchone() == (0, 1)


@settings(max_examples=20)
@given(st.sets(st.integers(1, 20), max_size=6), st.integers(1, 25))
def test_any_bad_rows(conn: Connection, bad: set[int], batch: int) -> None:
    conn.execute("TRUNCATE docs")
    rows = [(n, "bad" if n in bad else "good", None) for n in range(1, 21)]
    found: list[BadRowError] = []
    loaded = copy(conn, "docs", rows, COLUMNS, batch=batch, on_bad_row=found.append)
    assert [error.number for error in found] == sorted(bad)
    assert loaded == 20 - len(bad)
    assert ids(conn) == [n for n in range(1, 21) if n not in bad]


def test_create_index(conn: Connection) -> None:
    copy(conn, "docs", rows_of(50), COLUMNS)
    assert create_index(conn, "public.docs") == "docs_doc_idx"
    name = create_index(
        conn,
        "docs",
        "doc",
        method="colbert_ivf",
        opclass="multivector_cosine_ops",
        name="other",
        concurrently=True,
        quantizer="bit",
        probes=20,
    )
    [(definition,)] = conn.execute("SELECT pg_get_indexdef('other'::regclass)").fetchall()
    assert name == "other"
    assert definition == (
        "CREATE INDEX other ON public.docs USING colbert_ivf (doc multivector_cosine_ops) "
        "WITH (quantizer='bit', probes='20')"
    )
    with pytest.raises(psycopg.errors.DuplicateTable):
        create_index(conn, "docs")
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        create_index(conn, "docs", name="third", quantiser="bit")


@pytest.mark.parametrize(
    ("table", "column"),
    [("t" * 63, "doc"), ("t" * 40, "c" * 40), ("t", "c" * 63), ("ü" * 31, "é" * 20), ('a"b', "d")],
)
def test_a_name_that_is_too_long_is_shortened(conn: Connection, table: str, column: str) -> None:
    """It is the name that the server would give."""
    names = sql.Identifier(table), sql.Identifier(column)
    conn.execute(sql.SQL("CREATE TABLE {} ({} multivector(3))").format(*names))
    name = create_index(conn, names[0], column)
    conn.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    conn.execute(sql.SQL("CREATE INDEX ON {} USING colbert_hnsw ({})").format(*names))
    assert conn.execute(
        "SELECT indexname FROM pg_indexes WHERE tablename = %s", (table,)
    ).fetchall() == [(name,)]
    with pytest.raises(ValueError, match="expected name of at most 63 bytes, not 64"):
        create_index(conn, names[0], column, name="ü" * 32)
    conn.execute(sql.SQL("DROP TABLE {}").format(names[0]))


def test_create_index_shows_its_phases(
    conn: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    conn.execute("CREATE TABLE large (id int, doc multivector(64))")
    random = np.random.default_rng(1)
    copy(conn, "large", ((np.int64(n), random.normal(size=(60, 64))) for n in range(40)))
    seen: list[tuple[str, int, int]] = []
    create_index(conn, "large", progress=lambda *step: seen.append(step), tokens_per_node=1)
    phases = {phase for phase, _, _ in seen}
    assert "encoding documents" in phases
    assert all(0 <= done <= total or total == 0 for _, done, total in seen)
    create_index(conn, "large", name="again", progress=True, tokens_per_node=1)
    shown = capsys.readouterr().err
    assert any(phase in shown for phase in phases)
