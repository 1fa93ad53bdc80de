"""Collections: written rows are found, by connections of all kinds, and by the index."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import KINDS, done, maker
from psycopg import sql
from words import Words

from colbert_pg import MultiVector
from colbert_pg.collection import (
    AsyncCollection,
    Collection,
    Columns,
    Hit,
    IdExistsError,
    Record,
    Similarity,
    Where,
)
from colbert_pg.encoders import TextError, TextTooLongError
from colbert_pg.evaluate import index_recall
from colbert_pg.load import acopy, copy

TEXTS = [
    "Gout is treated with drugs.",
    "The Amazon river carries water.",
    "A violin is played with a bow.",
    "Bread rises because of yeast.",
]
IDS = ["gout", "amazon", "violin", "bread"]
METADATA: list[dict[str, Any]] = [
    {"topic": "medicine", "n": 1, "escape": "\\u0000"},
    {"topic": "earth", "n": 2},
    {"topic": "music"},
    {},
]


@pytest.fixture(params=KINDS)
async def make(request: pytest.FixtureRequest, database: str) -> AsyncIterator[Callable[..., Any]]:
    """Return a function that makes a collection, on each kind of connection."""
    async with maker(request.param, f"dbname={database}") as make:
        yield make


@pytest.fixture
async def facts(make: Callable[..., Any]) -> AsyncIterator[Any]:
    facts = make("facts", Words())
    await done(facts.create())
    await done(facts.add(TEXTS, ids=IDS, metadata=METADATA))
    yield facts
    await done(facts.drop())


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        yield conn


@pytest.fixture
def pages(conn: psycopg.Connection[Any]) -> Iterator[Collection]:
    pages = Collection(conn, "pages", Words())
    pages.create()
    yield pages
    pages.drop()


async def test_search(facts: Any) -> None:
    first, second = await done(facts.search("drugs for gout", 2))
    assert first == Hit("gout", TEXTS[0], METADATA[0], first.score, None)
    assert first.score > second.score
    [river] = await done(facts.search("drugs for gout", where={"topic": "earth"}, doc=True))
    assert river.id == "amazon"
    assert river.doc == MultiVector(Words().encode_document(TEXTS[1]), "float2")
    where = "metadata->>'topic' = %s -- a comment"
    [violin] = await done(facts.search("gout", where=where, params=("music",)))
    assert violin.id == "violin"
    [bread] = await done(facts.search(Words().encode_query("gout"), where=sql.SQL("id = 'bread'")))
    assert bread.id == "bread"
    [same] = await done(facts.search(np.asarray(Words().encode_query("gout")), 1))
    assert same.id == "gout"
    assert await done(facts.search("gout", 0)) == []


async def test_rows(facts: Any) -> None:
    assert await done(facts.count()) == 4
    assert await done(facts.count(where="metadata->>'topic' LIKE 'm%%'")) == 2
    records = await done(facts.get(["violin", "none", "gout"]))
    assert records == [
        Record("violin", TEXTS[2], METADATA[2]),
        Record("gout", TEXTS[0], METADATA[0]),
    ]
    found = await done(facts.filter(where="metadata ? 'n'"))
    assert [record.id for record in found] == ["amazon", "gout"]
    assert [record.id for record in await done(facts.filter(limit=3))] == [
        "amazon",
        "bread",
        "gout",
    ]
    assert await done(facts.delete(["gout"], where={"topic": "earth"})) == 0
    assert await done(facts.delete(["gout", "none"])) == 1
    assert await done(facts.delete(where="metadata->>'topic' = %s", params=("earth",))) == 1
    assert await done(facts.delete([])) == 0
    assert await done(facts.count(where={})) == 2
    assert await done(facts.count(where=nested(99))) == 0


async def test_a_text_without_a_multivector(facts: Any) -> None:
    docs = [None, Words().encode_document("bow")]
    assert await done(facts.add(["?", "a bow"], ids=["none", "bow"], docs=docs)) == ["none", "bow"]
    assert [record.text for record in await done(facts.get(["none", "bow"]))] == ["?", "a bow"]
    found = {hit.id for hit in await done(facts.search("bow", 10))}
    assert found == {*IDS, "bow"}


async def test_existing_ids(facts: Any) -> None:
    texts, ids = ["New bread.", "New fish."], ["bread", "fish"]
    with pytest.raises(
        IdExistsError, match=r'table "facts" has rows with these ids already: .bread.'
    ) as e:
        await done(facts.add(texts, ids=ids))
    assert e.value.ids == ["bread"]
    assert await done(facts.add(texts, ids=ids, on_conflict="skip")) == ["fish"]
    assert (await done(facts.get(["bread"])))[0].text == TEXTS[3]
    assert await done(facts.add(texts, ids=ids, on_conflict="replace")) == ids
    assert (await done(facts.get(["bread"])))[0].text == "New bread."
    docs = Words().encode_document(texts)
    with pytest.raises(IdExistsError):
        await done(facts.add(texts, ids=["ham", "fish"], docs=docs))
    assert await done(facts.add(texts, ids=["ham", "fish"], docs=docs, on_conflict="skip")) == [
        "ham"
    ]
    assert await done(facts.count()) == 6


async def test_an_error_names_its_text_and_nothing_is_written(facts: Any) -> None:
    texts = [f"text {n}" for n in range(7)]
    with pytest.raises(TextError, match=r"^text 6: expected a word"):
        await done(facts.add([*texts[:5], "?"], batch_size=2))
    with pytest.raises(TextTooLongError, match=r"^text 3: expected at most 50 tokens, not 51"):
        await done(facts.add([*texts[:2], "a " * 51], batch_size=2))
    with pytest.raises(TextError, match=r"^text 2: expected a word") as e:
        await done(facts.add(["Known.", "?"], ids=["gout", "?"], on_conflict="skip"))
    assert e.value.number == 2
    for bad in ("\0", "\ud800"):
        with pytest.raises(TextError, match=r"^text 2: expected"):
            await done(facts.add(["good", bad]))
    assert await done(facts.count()) == 4


async def test_explain(facts: Any) -> None:
    [hit] = await done(facts.search("gout", 1))
    [with_doc] = await done(facts.search("gout", 1, doc=True))
    for explained in (hit, with_doc, "gout"):
        explanation = await done(facts.explain("gout drugs", explained))
        assert explanation.text == TEXTS[0]
        assert [match.document for match in explanation.matches] == ["Gout", "drugs"]
        assert explanation.score == pytest.approx(2, abs=0.01)
    with pytest.raises(LookupError, match="table \"facts\" has no row of id 'none'"):
        await done(facts.explain("gout", "none"))


async def test_rerank(facts: Any) -> None:
    seen: list[str] = []

    def by_length(query: str, hits: list[Hit]) -> list[int]:
        seen.append(query)
        return [-len(hit.text) for hit in hits]

    hits = await done(facts.search("gout", 2, rerank=by_length))
    assert [(hit.id, hit.score) for hit in hits] == [("gout", -27), ("bread", -29)]
    [hit] = await done(facts.search("violin", 1, rerank=by_length, candidates=1))
    assert (hit.id, seen) == ("violin", ["gout", "violin"])
    with pytest.raises(ValueError, match="expected 4 scores of rerank, not 1"):
        await done(facts.search("gout", rerank=lambda *_: [1]))
    with pytest.raises(ValueError, match="not NaN"):
        await done(facts.search("gout", 1, candidates=1, rerank=lambda *_: [float("nan")]))


async def test_index(facts: Any) -> None:
    phases: list[str] = []
    name = await done(
        facts.index(concurrently=True, progress=lambda phase, *_: phases.append(phase))
    )
    assert name == "facts_doc_idx"
    with pytest.raises(psycopg.errors.DuplicateTable):
        await done(facts.index("colbert_ivf", lists=2))
    [hit] = await done(facts.search("gout", 1))
    assert hit.id == "gout"


async def test_progress(facts: Any) -> None:
    seen: list[tuple[int, int | None]] = []
    ids = await done(
        facts.add(["a", "b", "c"], batch_size=2, progress=lambda *step: seen.append(step))
    )
    assert seen == [(2, 3), (3, 3)]
    assert len(set(ids)) == 3
    assert [record.id for record in await done(facts.get(ids))] == ids
    assert await done(facts.add([])) == []


async def test_tables_that_exist(facts: Any, make: Callable[..., Any]) -> None:
    await done(facts.create())
    assert await done(facts.count()) == 4
    with pytest.raises(psycopg.errors.DuplicateTable):
        await done(facts.create(exist_ok=False))
    with pytest.raises(ValueError, match='column doc of table "facts" has 16 dims, not 8'):
        await done(make("facts", Words(8)).create())
    with pytest.raises(ValueError, match='table "facts" has no column page, note'):
        await done(make("facts", Words(), columns=Columns(text="page", metadata="note")).create())
    with pytest.raises(psycopg.DataError, match="expected 16 dimensions, not 8"):
        await done(make("facts", Words(8)).add(["short vectors"]))


async def test_names_and_types(make: Callable[..., Any], conn: psycopg.Connection[Any]) -> None:
    """Names are quoted, ids may be numbers or UUIDs, and a table need not have metadata."""
    conn.execute('CREATE SCHEMA IF NOT EXISTS "a b"')
    columns = Columns(id='i"d', text="score", doc="%s", metadata=None)
    odd = make(
        sql.Identifier("a b", "c.d"), Words(), columns=columns, id_type="bigint", element="int8"
    )
    await done(odd.create())
    assert await done(odd.add(["ten", "nine"], ids=["10", "9"])) == ["10", "9"]
    assert [record.id for record in await done(odd.filter())] == ["9", "10"]
    assert await done(odd.get(["10"])) == [Record("10", "ten", {})]
    assert [hit.id for hit in await done(odd.search("nine"))] == ["9", "10"]
    assert await done(odd.index()) == "c.d_%s_idx"
    with pytest.raises(ValueError, match="expected ids"):
        await done(odd.add(["eight"]))
    with pytest.raises(ValueError, match="has no column of metadata"):
        await done(odd.count(where={"a": 1}))
    with pytest.raises(ValueError, match="has no column of metadata"):
        await done(odd.add(["a"], ids=["1"], metadata=[{}]))
    await done(odd.drop())
    numbered = make("numbered", Words(), id_type="uuid")
    await done(numbered.create())
    ids = await done(numbered.add(["one", "two"]))
    assert [record.id for record in await done(numbered.get(ids))] == ids
    assert (await done(numbered.explain("two", ids[1]))).text == "two"
    assert await done(numbered.delete(ids[:1])) == 1
    await done(numbered.drop())


@pytest.mark.parametrize(
    ("id_type", "given", "canonical", "wrong"),
    [
        ("bigint", ["007", "-0", "+8"], ["7", "0", "8"], ["x", "7.0", str(2**63), "1_0"]),
        (
            "uuid",
            ["A0EEBC999C0B4EF8BB6D6BB9BD380A11", "{00000000-0000-0000-0000-00000000000f}"],
            ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-00000000000f"],
            ["x", ""],
        ),
    ],
)
async def test_ids_are_canonical(
    make: Callable[..., Any],
    id_type: str,
    given: list[str],
    canonical: list[str],
    wrong: list[str],
) -> None:
    encoder = Words()
    rows = make("canonical", encoder, id_type=id_type)
    await done(rows.create())
    assert await done(rows.add(given, ids=given, docs=[[[1.0] * 16]] * len(given))) == canonical
    assert [record.id for record in await done(rows.get(given))] == canonical
    with pytest.raises(IdExistsError, match=canonical[0]) as e:
        await done(rows.add(["again"], ids=given[:1]))
    assert e.value.ids == canonical[:1]
    assert encoder.encoded == []
    with pytest.raises(ValueError, match="comes twice"):
        await done(rows.add(["a", "b"], ids=[given[0], canonical[0]]))
    assert await done(rows.add(["again"], ids=given[:1], on_conflict="skip")) == []
    for key in wrong:
        with pytest.raises(ValueError, match=f"expected ids of type {id_type}, not '{key}'"):
            await done(rows.get([key]))
    assert await done(rows.delete(given[:1])) == 1
    await done(rows.drop())


@pytest.mark.parametrize(
    ("similarity", "first"),
    [("maxsim", "long"), ("maxsim_cosine", "exact"), ("maxsim_l2", "exact")],
)
async def test_similarities(make: Callable[..., Any], similarity: str, first: str) -> None:
    lines = make("lines", similarity=similarity)
    await done(lines.create(dims=2))
    docs = [[[9, 9]], [[1.0, 0]], [[0, 1.0]]]
    await done(lines.add(["long", "exact", "other"], ids=["long", "exact", "other"], docs=docs))
    await done(lines.index())
    hits = await done(lines.search([[1.0, 0]]))
    assert hits[0].id == first
    assert sorted((hit.score for hit in hits), reverse=similarity != "maxsim_l2") == [
        hit.score for hit in hits
    ]
    await done(lines.drop())


async def test_without_an_encoder(make: Callable[..., Any]) -> None:
    plain = make("plain")
    for call in (plain.create, lambda: plain.add(["a"]), lambda: plain.search("a")):
        with pytest.raises(ValueError, match="the collection has no encoder: pass one, or "):
            await done(call())


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth):
        found = {"a": [found]}
    return found


async def test_wrong_arguments(facts: Any) -> None:
    cases: list[tuple[Callable[[], Any], type[Exception], str]] = [
        (lambda: facts.add("one text"), TypeError, "expected a list of texts, not a text"),
        (lambda: facts.add([1]), TypeError, "text 1: expected a string, not int"),
        (
            lambda: facts.add(["a"], ids=["b", "c"]),
            ValueError,
            "expected 1 ids, one per text, not 2",
        ),
        (lambda: facts.add(["a", "b"], ids=["c", "c"]), ValueError, "and 'c' comes twice"),
        (lambda: facts.add(["a"], docs=[[[1], []]]), ValueError, "doc 1: expected 1 dimensions"),
        (lambda: facts.add(["a"], metadata=[{"b": {1}}]), TextError, "text 1: metadata: .* set"),
        (lambda: facts.add(["a"], metadata=[{"b": float("nan")}]), TextError, "text 1: metadata: "),
        (lambda: facts.add(["a"], metadata=[{"b": "\0"}]), TextError, "metadata: .* no .* NUL"),
        (lambda: facts.add(["a"], metadata=[{"\ud800": 1}]), TextError, "text 1: metadata: "),
        (lambda: facts.add(["a"], on_conflict="ignore"), ValueError, "not 'ignore'"),
        (lambda: facts.add(["a"], batch_size=0), ValueError, "batch_size of at least 1, not 0"),
        (lambda: facts.get("gout"), TypeError, "expected a list of ids, not a string"),
        (facts.delete, ValueError, r"expected ids or where; drop\(\) deletes all rows"),
        (lambda: facts.delete(where={}), ValueError, "expected ids or where"),
        (lambda: facts.count(params=("a",)), ValueError, "expected params only with where as SQL"),
        (lambda: facts.count(where={"a": 1}, params=("a",)), ValueError, "not with a mapping"),
        (lambda: facts.count(where=nested(3000)), ValueError, "where with at most 200 levels"),
        (lambda: facts.filter(limit=-1), ValueError, "limit of at least 0, not -1"),
        (lambda: facts.filter(limit=True), TypeError, "an integer as limit, not True"),
        (lambda: facts.search("a", 2.5), TypeError, "an integer as limit, not 2.5"),
        (lambda: facts.search("a", True, rerank=len), TypeError, "as limit, not True"),
        (lambda: facts.add(["a", "b"], ids=["z", None]), TypeError, "an id, and number 2 is None"),
        (lambda: facts.get([True]), TypeError, "expected an id, and number 1 is True"),
        (lambda: facts.search("a", candidates=9), ValueError, "candidates only with rerank"),
        (lambda: facts.search([[1]], rerank=len), TypeError, "a query that is a text for rerank"),
        (
            lambda: facts.search("a", 5, rerank=len, candidates=4),
            ValueError,
            "at least 5 candidates",
        ),
        (lambda: facts.search("?"), TextError, "text 1: expected a word"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            await done(call())
    assert await done(facts.count()) == 4


@pytest.mark.parametrize(
    "options",
    [{"element": "float8"}, {"id_type": "text; --"}, {"similarity": "version"}],
    ids=["element", "id_type", "similarity"],
)
def test_wrong_options(conn: psycopg.Connection[Any], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected "):
        Collection(conn, "facts", **options)


def test_the_twins_are_alike() -> None:
    """Both classes have the same methods, with the same parameters."""

    def members(cls: type) -> dict[str, list[tuple[str, Any, Any]]]:
        return {
            name: [
                (p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()
            ]
            for name, method in vars(cls).items()
            if callable(method) and (name == "__init__" or not name.startswith("_"))
        }

    assert members(Collection) == members(AsyncCollection)
    assert {"create", "add", "search", "explain"} < set(members(Collection))


def test_a_missing_extension() -> None:
    with (
        psycopg.connect(dbname="template1") as conn,
        pytest.raises(psycopg.ProgrammingError, match="run CREATE EXTENSION colbert_pg"),
    ):
        Collection(conn, "facts", Words()).create()


def test_sql_is_what_search_runs(pages: Collection, conn: psycopg.Connection[Any]) -> None:
    assert (pages.table, pages.columns.doc) == (sql.Identifier("pages"), "doc")
    assert (pages.similarity, type(pages.encoder)) == ("maxsim", Words)
    pages.add(["gout", "bread"], ids=["1", "2"], metadata=[{}, {"a": 1}])
    assert pages.sql(5) == (
        'SELECT "id", "body", "metadata", maxsim("doc", %s) AS "score" FROM "pages" '
        'WHERE "doc" IS NOT NULL ORDER BY "score" DESC LIMIT 5'
    )
    query = Words().encode_query("gout")
    rows = conn.execute(pages.sql(where={"a": 1}), (query, '{"a": 1}')).fetchall()
    assert [Hit(*row) for row in rows] == pages.search("gout", where={"a": 1})


def test_a_search_finds_no_row_without_a_document(pages: Collection) -> None:
    pages.add(["gout"], ids=["1"])
    assert pages.add(["gout"], ids=["2"], docs=[None]) == ["2"]
    assert [hit.id for hit in pages.search("gout")] == ["1"]
    assert pages.explain("gout", "2").score == pytest.approx(1)


@pytest.fixture(scope="module")
def many(database: str) -> str:
    """Return the name of a table that is large enough for the planner to prefer an index."""
    random = np.random.default_rng(1)
    n = 2000
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        many = Collection(conn, "many")
        many.create(dims=16)
        many.add(
            [f"page {i}" for i in range(n)],
            metadata=[{"half": i % 2} for i in range(n)],
            docs=[random.normal(size=(16, 16)) for _ in range(n)],
        )
        conn.execute("ANALYZE many")
    return "many"


@pytest.mark.parametrize("similarity", ["maxsim", "maxsim_cosine", "maxsim_l2"])
def test_a_search_uses_the_index(
    many: str, conn: psycopg.Connection[Any], similarity: Similarity
) -> None:
    collection = Collection(conn, many, similarity=similarity)
    query = np.random.default_rng(2).normal(size=(4, 16))
    wheres: list[tuple[Where | None, list[Any]]] = [
        (None, []),
        ({"half": 1}, ['{"half": 1}']),
        ("(metadata->>'half')::int >= %s", [1]),
    ]
    name = collection.index()
    for where, params in wheres:
        statement = collection.sql(10, where=where)
        rows = conn.execute(f"EXPLAIN {statement}", (query, *params)).fetchall()
        assert f"Index Scan using {name} on many" in "\n".join(row[0] for row in rows)
    conn.execute(f"DROP INDEX {name}")


def test_row_level_security(pages: Collection, conn: psycopg.Connection[Any]) -> None:
    """Who may not see a row does not find, count, replace or delete it."""
    pages.add(["gout", "bread"], ids=["mine", "other"], metadata=[{"owner": "reader"}, {}])
    pages.index()
    conn.execute("""
        CREATE ROLE reader;
        GRANT ALL ON pages TO reader;
        CREATE POLICY own ON pages USING (metadata->>'owner' = current_user);
        ALTER TABLE pages ENABLE ROW LEVEL SECURITY;
        SET ROLE reader
    """)
    try:
        assert [hit.id for hit in pages.search("bread")] == ["mine"]
        assert [record.id for record in pages.filter(where="true OR true")] == ["mine"]
        assert pages.count() == 1
        assert pages.get(["mine", "other"])[0].id == "mine"
        assert pages.delete(["other"]) == 0
        mine = [{"owner": "reader"}]
        assert pages.add(["x"], ids=["other"], metadata=mine, on_conflict="skip") == []
        with pytest.raises(IdExistsError):
            pages.add(["x"], ids=["other"], metadata=mine)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            pages.add(["x"], ids=["other"], metadata=mine, on_conflict="replace")
        with pytest.raises(LookupError):
            pages.explain("bread", "other")
    finally:
        conn.execute("RESET ROLE; DROP OWNED BY reader; DROP ROLE reader")
    assert pages.get(["other"])[0].text == "bread"


def test_an_asynchronous_reranker_is_refused(pages: Collection) -> None:
    async def rerank(_query: str, hits: list[Hit]) -> list[float]:
        return [1.0] * len(hits)

    pages.add(["gout"])
    with pytest.raises(TypeError, match="an AsyncCollection takes async functions"):
        pages.search("gout", rerank=rerank)


def test_known_texts_are_not_encoded(conn: psycopg.Connection[Any], pages: Collection) -> None:
    pages.add(["one"], ids=["1"])
    encoder = Words()
    again = Collection(conn, "pages", encoder)
    assert again.add(["one", "two"], ids=["1", "2"], on_conflict="skip") == ["2"]
    with pytest.raises(IdExistsError):
        again.add(["three", "two"], ids=["3", "2"])
    assert encoder.encoded == ["two"]


def test_a_method_is_a_savepoint_of_the_callers_transaction(
    pages: Collection, conn: psycopg.Connection[Any]
) -> None:
    with conn.transaction(force_rollback=True):
        pages.add(["one"], ids=["1"])
        with pytest.raises(IdExistsError):
            pages.add(["one"], ids=["1"])
        with pytest.raises(psycopg.ProgrammingError, match="autocommit"):
            pages.index(concurrently=True)
        assert pages.count() == 1
    assert pages.count() == 0


def test_the_rows_of_the_callers_connection_may_be_mappings(database: str) -> None:
    with psycopg.connect(f"dbname={database}", row_factory=psycopg.rows.dict_row) as conn:
        mapped = Collection(conn, "mapped", Words())
        mapped.create()
        mapped.add(["one"], ids=["1"])
        assert mapped.search("one")[0].id == "1"
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        mapped.drop()


async def in_a_pipeline(facts: Any) -> None:
    """Use a collection whose connection is in pipeline mode."""
    assert await done(facts.add(TEXTS, ids=IDS)) == IDS
    assert await done(facts.count()) == 4
    assert [hit.id for hit in await done(facts.search("gout drugs", 1))] == ["gout"]
    assert [record.id for record in await done(facts.get(["bread", "gout"]))] == ["bread", "gout"]
    with pytest.raises(psycopg.errors.UndefinedColumn):
        await done(facts.count(where="nothing"))
    assert await done(facts.delete(["bread"])) == 1
    await done(facts.drop())


async def test_pipelines(database: str) -> None:
    """A connection in pipeline mode returns no results until it is synchronised."""
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        facts = Collection(conn, "piped", Words())
        facts.create()
        with conn.pipeline():
            await in_a_pipeline(facts)
    async with await psycopg.AsyncConnection.connect(dbname=database, autocommit=True) as aconn:
        afacts = AsyncCollection(aconn, "piped", Words())
        await afacts.create()
        async with aconn.pipeline():
            await in_a_pipeline(afacts)


def test_threads_create_at_once_and_share_a_connection(
    database: str, conn: psycopg.Connection[Any]
) -> None:
    failed: list[BaseException] = []

    def work(collection: Collection, number: int) -> None:
        try:
            collection.create()
            collection.add([f"text {number}"])
            collection.search("text")
        except BaseException as e:
            failed.append(e)

    with psycopg.connect(f"dbname={database}", autocommit=True) as other:
        shared, alone = (Collection(c, "shared", Words()) for c in (conn, other))
        threads = [
            threading.Thread(target=work, args=(shared if n < 3 else alone, n)) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []
    assert shared.count() == 4
    shared.drop()


def test_collections_share_a_connection(conn: psycopg.Connection[Any]) -> None:
    failed: list[BaseException] = []

    def work(collection: Collection) -> None:
        try:
            for n in range(20):
                collection.add([f"text {n}"])
        except BaseException as e:
            failed.append(e)

    both = [Collection(conn, table, Words()) for table in ("first", "second")]
    for collection in both:
        collection.create()
    threads = [threading.Thread(target=work, args=(collection,)) for collection in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for collection in both:
        assert collection.count() == 20
        collection.drop()


def test_writers_of_the_same_rows_wait_in_one_order(
    pages: Collection, conn: psycopg.Connection[Any], database: str
) -> None:
    pages.add(["one", "two"], ids=["a", "b"])
    update = "UPDATE pages SET body = 'mine' WHERE id = %s"
    blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %s"
    with psycopg.connect(dbname=database) as other, psycopg.connect(dbname=database) as third:
        writer = Collection(other, "pages", Words())
        third.execute(update, ("a",))
        given = {"ids": ["b", "a"], "on_conflict": "replace"}
        thread = threading.Thread(target=writer.add, args=(["two", "one"],), kwargs=given)
        thread.start()
        while conn.execute(blocked, (other.info.backend_pid,)).fetchone() == (0,):
            assert thread.is_alive()
        third.execute("SET lock_timeout = '1 s'")
        third.execute(update, ("b",))
        third.commit()
        thread.join()
    assert [page.text for page in pages.get(["a", "b"])] == ["one", "two"]
    assert pages.add(["x", "y"], ids=["d", "c"]) == ["d", "c"]


@pytest.mark.parametrize("factory", [psycopg.ClientCursor, psycopg.RawCursor])
def test_connections_with_other_cursors(database: str, factory: Any) -> None:
    with psycopg.connect(dbname=database, autocommit=True, cursor_factory=factory) as conn:
        texts = Collection(conn, "texts", Words())
        texts.create()
        assert texts.add(TEXTS, ids=IDS, metadata=METADATA) == IDS
        [hit] = texts.search("violin", 1, where={"topic": "music"}, doc=True)
        expected = MultiVector(Words().encode_document(TEXTS[2]), "float2")
        assert (hit.id, hit.doc) == ("violin", expected)
        assert copy(conn, "texts", [("more", "", None)], ["id", "body", "doc"]) == 1
        assert texts.count(where="id <> %s", params=["gout"]) == 4
        texts.index()
        query = Words().encode_query("violin")
        assert index_recall(conn, "texts", "doc", [query], k=1).recall == 1
        texts.drop()


@pytest.mark.parametrize("factory", [psycopg.AsyncClientCursor, psycopg.AsyncRawCursor])
async def test_asynchronous_connections_with_other_cursors(database: str, factory: Any) -> None:
    connect = psycopg.AsyncConnection.connect
    async with await connect(f"dbname={database}", autocommit=True, cursor_factory=factory) as conn:
        texts = AsyncCollection(conn, "texts", Words())
        await texts.create()
        assert await texts.add(TEXTS, ids=IDS) == IDS
        assert [hit.id for hit in await texts.search("violin", 1)] == ["violin"]
        assert await acopy(conn, "texts", [("more", "", None)], ["id", "body", "doc"]) == 1
        assert await texts.count() == 5
        await texts.drop()


async def test_asynchronous_collections_share_a_connection(database: str) -> None:
    async with await psycopg.AsyncConnection.connect(f"dbname={database}") as conn:
        both = [AsyncCollection(conn, table, Words()) for table in ("first", "second")]
        for collection in both:
            await collection.create()
        await asyncio.gather(*(one.add([f"text {n}"]) for one in both for n in range(20)))
        for collection in both:
            assert await collection.count() == 20
            await collection.drop()


async def test_tasks_share_a_connection(database: str) -> None:
    async with await psycopg.AsyncConnection.connect(f"dbname={database}") as conn:
        shared = AsyncCollection(conn, "tasks", Words())
        await shared.create()
        await asyncio.gather(*(shared.add([f"text {n}"]) for n in range(5)))

        async def rerank(query: str, hits: list[Hit]) -> list[float]:
            assert query == "text"
            return [float(hit.text[-1]) for hit in hits]

        [first, *_] = await shared.search("text", rerank=rerank)
        assert first.text == "text 4"
        await shared.drop()


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
ROWS = st.lists(
    st.tuples(st.sampled_from(["", "a", "A", "é", "%s", "'"]), TEXT, st.dictionaries(TEXT, JSON)),
    max_size=5,
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["error", "replace", "skip", "delete"]), ROWS), max_size=4
)


@settings(max_examples=settings().max_examples // 4)
@given(steps=STEPS)
def test_a_collection_is_a_mapping(pages: Collection, steps: list[Any]) -> None:
    """Rows are those of a dict: any text, any metadata, any ids, in any order of calls."""
    pages.delete(where="true")
    model: dict[str, Record] = {}
    for action, rows in steps:
        ids = [row[0] for row in rows]
        if action == "delete":
            assert pages.delete(ids) == sum(key in model for key in set(ids))
            for key in ids:
                model.pop(key, None)
            continue
        columns: dict[str, Any] = {
            "ids": ids,
            "metadata": [row[2] for row in rows],
            "docs": [[[1.0] * 16]] * len(rows),
        }
        texts = [row[1] for row in rows]
        if action == "error" and (len(set(ids)) < len(ids) or set(ids) & set(model)):
            with pytest.raises(ValueError, match=r"comes twice|exist|already"):
                pages.add(texts, on_conflict="error", **columns)
            continue
        pages.add(texts, on_conflict=action, **columns)
        for key, text, metadata in rows:
            if action != "skip" or key not in model:
                model[key] = Record(key, text, metadata)
    assert {record.id: record for record in pages.filter()} == model
    assert pages.count() == len(model)
    for record in itertools.islice(model.values(), 2):
        assert record in pages.filter(where=record.metadata)
    assert {hit.id for hit in pages.search([[1.0] * 16], 100)} == set(model)
