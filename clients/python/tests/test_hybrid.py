"""Collections with full text: search by words, by both, and by a learned ranker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from kinds import KINDS, done, maker
from psycopg import sql
from words import Words

from colbert_pg import rank
from colbert_pg.collection import (
    Collection,
    Columns,
    FullText,
    Hit,
    Mode,
    NoStatisticsError,
    StoredRanker,
    Term,
)
from colbert_pg.encoders import TextError

TEXTS = [
    "Gout is treated with drugs.",
    "The Amazon river carries water.",
    "A violin is played with a bow.",
    "The gouty patient rests.",
]
IDS = ["gout", "amazon", "violin", "patient"]
METADATA: list[dict[str, Any]] = [
    {"title": "Joints", "n": 1},
    {"title": "Rivers", "n": 2},
    {"title": "Music"},
    {},
]
MODEL = json.dumps({"weights": [1, -2], "intercept": 3, "features": ["bm25f", "maxsim_mean"]})


@pytest.fixture(params=KINDS)
async def make(request: pytest.FixtureRequest, database: str) -> AsyncIterator[Callable[..., Any]]:
    async with maker(request.param, f"dbname={database}") as make:
        yield make


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        yield conn


@pytest.fixture
async def notes(make: Callable[..., Any]) -> AsyncIterator[Any]:
    notes = make("notes", Words(), full_text=FullText(title="title"))
    await done(notes.create())
    await done(notes.add(TEXTS, ids=IDS, metadata=METADATA))
    await done(notes.analyze())
    yield notes
    await done(notes.drop())


def ids(hits: list[Hit]) -> list[str]:
    return [hit.id for hit in hits]


async def test_text(notes: Any) -> None:
    [gout] = await done(notes.search("treating gout", mode="text"))
    assert gout == Hit("gout", TEXTS[0], METADATA[0], gout.score)
    assert gout.score > 0
    assert ids(await done(notes.search("joint", mode="text"))) == ["gout"], "the title"
    by_both = await done(notes.search("rivers water violins", 1, mode="text"))
    assert ids(by_both) == ["amazon"]
    where = "metadata->>'title' = %s -- a comment"
    found = await done(
        notes.search("water violin", mode="text", where=where, params=("Music",), doc=True)
    )
    assert ids(found) == ["violin"]
    assert found[0].doc is not None
    assert await done(notes.search("water", 0, mode="text")) == []


async def test_hybrid(notes: Any, conn: psycopg.Connection[Any]) -> None:
    first, *rest = await done(notes.search("gout joints", mode="hybrid"))
    assert (first.id, first.text, first.metadata) == ("gout", TEXTS[0], METADATA[0])
    assert len(rest) == 3
    assert all(0 == hit.bm25f < first.bm25f and hit.maxsim < first.maxsim for hit in rest)
    [(bound,)] = conn.execute(
        "SELECT bm25_bound(bm25_query('notes_tsv_bm25', 'gout joints'))"
    ).fetchall()
    assert first.score == pytest.approx(0.8 * first.maxsim / 2 + 0.2 * first.bm25f / bound)
    [alone] = await done(notes.search("gout joints", 1, mode="hybrid", weight=1, doc=True))
    assert alone.score == pytest.approx(alone.maxsim / 2)
    assert alone.doc is not None
    [words] = await done(notes.search("gout joints", 1, mode="hybrid", weight=0))
    assert words.score == pytest.approx(words.bm25f / bound)
    where: Any
    for where in ({"n": 2}, sql.SQL("metadata->>'n' = '2'")):
        assert ids(await done(notes.search("gout", mode="hybrid", where=where))) == ["amazon"]
    excluded = await done(notes.search("gout", mode="hybrid", where="metadata->>'n' = '9'"))
    assert excluded == []
    few = await done(notes.search("water violin", mode="hybrid", per_side=1))
    assert 1 <= len(few) <= 2


async def test_a_ranker(notes: Any, conn: psycopg.Connection[Any]) -> None:
    hits = await done(notes.search("gout", ranker=MODEL))
    assert len(hits) == 4
    for hit in hits:
        assert hit.score == pytest.approx(3 + hit.bm25f - 2 * hit.maxsim, abs=1e-5)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    conn.execute('CREATE TABLE "my ""%rankers" ("n%" text PRIMARY KEY, model rank_model)')
    conn.execute("""INSERT INTO "my ""%%rankers" VALUES ('it''s', %s::rank_model)""", (MODEL,))
    try:
        stored = StoredRanker("it's", 'my "%rankers', key="n%")
        assert await done(notes.search("gout", mode="hybrid", ranker=stored)) == hits
        other = StoredRanker("none", 'my "%rankers', key="n%")
        with pytest.raises(LookupError, match="has no model 'none'"):
            await done(notes.search("gout", ranker=other))
    finally:
        conn.execute('DROP TABLE "my ""%rankers"')
    with pytest.raises(psycopg.DataError):
        await done(notes.search("gout", ranker="no model"))


async def test_rerank_gets_both_scores(notes: Any) -> None:
    def by_words(query: str, hits: list[Hit]) -> list[float]:
        assert query == "gout rivers"
        return [hit.bm25f or 0 for hit in hits]

    hits = await done(notes.search("gout rivers", 2, mode="hybrid", rerank=by_words))
    assert sorted(ids(hits)) == ["amazon", "gout"]
    assert [hit.score for hit in hits] == [hit.bm25f for hit in hits]


async def test_terms(notes: Any) -> None:
    [hit] = await done(notes.search("joints treated or not", 1, mode="text"))
    terms = await done(notes.terms("joints treated or not", hit))
    assert [(term.term, term.section, term.frequency) for term in terms] == [
        ("joint", "A", 1),
        ("treat", "D", 1),
    ]
    assert all(isinstance(term, Term) and term.contribution > 0 for term in terms)
    assert await done(notes.terms("joints", "violin")) == []
    assert await done(notes.terms("the", "gout")) == []
    with pytest.raises(LookupError, match="table \"notes\" has no row of id 'none'"):
        await done(notes.terms("joints", "none"))


async def test_queries_without_words(notes: Any) -> None:
    """Words that the statistics do not know, stop words alone, and no words at all."""
    for query in ("the of", "", " ", "xyzzy", "'%s \\ :* & (", "🙂"):
        assert await done(notes.search(query, mode="text")) == []
    plain = await done(notes.search("the of"))
    both = await done(notes.search("the of", mode="hybrid"))
    assert ids(both) == ids(plain)
    assert [hit.bm25f for hit in both] == [0] * 4
    with pytest.raises(TextError, match="expected no character NUL"):
        await done(notes.search("a\0", mode="text"))
    with pytest.raises(TextError, match="expected Unicode"):
        await done(notes.search("\ud800", mode="hybrid"))


async def test_rows_without_a_document(notes: Any) -> None:
    await done(notes.add(["A text that waits for its gout."], ids=["waits"], docs=[None]))
    assert set(ids(await done(notes.search("gout", mode="text")))) == {"gout", "waits"}
    assert "waits" not in ids(await done(notes.search("gout", mode="hybrid")))


async def test_missing_statistics(make: Callable[..., Any]) -> None:
    fresh = make("fresh", Words(), full_text=FullText())
    await done(fresh.create())
    await done(fresh.add(["gout"], ids=["1"]))
    calls: list[Callable[[], Any]] = [
        lambda: fresh.search("gout", mode="text"),
        lambda: fresh.search("gout", mode="hybrid"),
        lambda: fresh.terms("gout", "1"),
    ]
    for call in calls:
        with pytest.raises(
            NoStatisticsError,
            match=r'table "fresh" has no statistics "fresh_tsv_bm25": call analyze\(\), or ',
        ):
            await done(call())
    assert ids(await done(fresh.search("gout"))) == ["1"]
    await done(fresh.analyze(sample=1000))
    with pytest.raises(psycopg.errors.UndefinedTable, match="nowhere"):
        await done(fresh.search("gout", mode="text", where="id IN (SELECT id FROM nowhere)"))
    assert ids(await done(fresh.search("gout", mode="text"))) == ["1"]
    await done(fresh.drop())


async def test_a_long_name(make: Callable[..., Any], conn: psycopg.Connection[Any]) -> None:
    """The server shortens the name of the statistics."""
    table = "n" * 65
    long = make(table, Words(), full_text=FullText(column="t" * 64))
    await done(long.create())
    await done(long.create())
    await done(long.add(["gout"], ids=["1"]))
    await done(long.analyze())
    assert ids(await done(long.search("gout", mode="text"))) == ["1"]
    columns = rank.Columns(tsv="t" * 64)
    data = rank.training_data(conn, table, {"q": "gout"}, {"q": {"1": 1}}, Words(), columns=columns)
    assert data.groups == {"q": 1}
    await done(long.drop())
    left = conn.execute("SELECT relname FROM pg_class WHERE relname LIKE 'nn%'").fetchall()
    assert left == []


async def test_columns_named_as_the_score(make: Callable[..., Any]) -> None:
    columns = Columns("score", "maxsim_score", "bm25f", "maxsim")
    odd = make("odd", Words(), columns=columns, full_text=FullText())
    await done(odd.create())
    await done(odd.add(["gout", "water"], ids=["1", "2"]))
    await done(odd.analyze())
    for mode in ("maxsim", "text", "hybrid"):
        assert ids(await done(odd.search("gout", 1, mode=mode))) == ["1"]
    await done(odd.drop())


async def test_a_table_of_others(make: Callable[..., Any], conn: psycopg.Connection[Any]) -> None:
    """Names are quoted; a tsvector may be NULL; an empty table has statistics, too."""
    conn.execute('CREATE SCHEMA IF NOT EXISTS "a b"')
    conn.execute("""
        CREATE TABLE "a b"."best%s" ("i""d" bigint PRIMARY KEY, "score" text, "query" tsvector,
            "%s" multivector(16))
    """)
    columns = Columns(id='i"d', text="score", doc="%s", metadata=None)
    options: dict[str, Any] = {"columns": columns, "id_type": "bigint"}
    table = sql.Identifier("a b", "best%s")
    odd = make(table, Words(), full_text=FullText("simple", column="query"), **options)
    await done(odd.create())
    await done(odd.analyze())
    assert await done(odd.search("one", mode="hybrid")) == []
    await done(odd.add(["one two", "three", "one"], ids=["1", "2", "3"]))
    conn.execute("""UPDATE "a b"."best%s" SET query = score::tsvector WHERE "i""d" < 3""")
    await done(odd.analyze())
    assert ids(await done(odd.search("one", mode="text", where='"i""d" %% 2 = 1'))) == ["1"]
    both = await done(odd.search("one", mode="hybrid"))
    assert [(hit.id, hit.bm25f > 0) for hit in both] == [("1", True), ("3", False), ("2", False)]
    assert ids(await done(odd.search("one", ranker=MODEL)))[0] == "2"
    lacking = make(table, Words(), full_text=FullText(column="tsv"), **options)
    with pytest.raises(ValueError, match="has no column tsv"):
        await done(lacking.create())
    with pytest.raises(ValueError, match="has no column of metadata"):
        make(table, Words(), full_text=FullText(title="title"), **options)
    conn.execute('DROP SCHEMA "a b" CASCADE')


async def test_full_text_of_a_collection_that_exists(
    make: Callable[..., Any], conn: psycopg.Connection[Any]
) -> None:
    old = make("old", Words())
    await done(old.create())
    await done(old.add(TEXTS, ids=IDS, metadata=METADATA))
    for mode in ("text", "hybrid"):
        with pytest.raises(ValueError, match=f"a collection with full_text for mode {mode}"):
            await done(old.search("gout", mode=mode))
    with pytest.raises(ValueError, match="expected a collection with full_text"):
        await done(old.analyze())
    statistics = sql.Identifier("public", "the statistics")
    full_text = FullText("german", title="it's %", statistics=statistics)
    new = make("old", Words(), full_text=full_text)
    await done(new.add_full_text())
    await done(new.add(["Die Häuser."], ids=["de"], metadata=[{"it's %": "Der Fluss"}]))
    await done(new.analyze())
    conn.execute('ALTER TABLE old_tsv_bm25 RENAME TO "the statistics"')
    assert ids(await done(new.search("Haus", mode="text"))) == ["de"]
    assert ids(await done(new.search("fluss", mode="text"))) == ["de"]
    assert old.full_text is None
    assert new.full_text == full_text
    assert ids(await done(old.search("bow"))) == ids(await done(new.search("bow")))
    conn.execute("CREATE TABLE other_tsv_bm25 AS SELECT 1 AS dear")
    await done(make("other", Words(), full_text=FullText()).drop())
    await done(new.drop())
    assert conn.execute("""SELECT to_regclass('"the statistics"')""").fetchone() == (None,)
    assert conn.execute("SELECT dear FROM other_tsv_bm25").fetchone() == (1,)
    conn.execute("DROP TABLE other_tsv_bm25")


async def test_wrong_arguments(notes: Any, make: Callable[..., Any]) -> None:
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"mode": "fts"}, ValueError, "expected mode maxsim, text, hybrid, not 'fts'"),
        ({"weight": 0.5}, ValueError, "expected weight only with mode hybrid, not maxsim"),
        ({"mode": "text", "per_side": 5}, ValueError, "per_side only with mode hybrid, not text"),
        ({"mode": "text", "ranker": MODEL}, ValueError, "ranker only with mode hybrid"),
        ({"mode": "hybrid", "weight": 1.5}, ValueError, "expected weight from 0 to 1, not 1.5"),
        ({"mode": "hybrid", "weight": float("nan")}, ValueError, "weight from 0 to 1, not nan"),
        ({"mode": "hybrid", "per_side": 0}, ValueError, "per_side of at least 1, not 0"),
        ({"weight": 0.5, "ranker": MODEL}, ValueError, "expected weight or ranker, not both"),
        ({"ranker": rank.LinearModel([1], 0, ["bm25f"])}, TypeError, "not LinearModel"),
        ({"mode": "hybrid", "limit": -1}, ValueError, "limit of at least 0, not -1"),
        ({"mode": "text", "candidates": 3}, ValueError, "candidates only with rerank"),
    ]
    for options, error, message in cases:
        with pytest.raises(error, match=message):
            await done(notes.search("gout", **options))
    for table in ("docs", "query", "best"):
        with pytest.raises(ValueError, match=f'expected the schema of table "{table}", too'):
            await done(notes.search("gout", ranker=StoredRanker("first", table)))
        with pytest.raises(psycopg.errors.UndefinedTable, match=f"public.{table}"):
            await done(notes.search("gout", ranker=StoredRanker("first", f"public.{table}")))
    for mode in ("text", "hybrid"):
        with pytest.raises(TypeError, match=f"a query that is a text for mode {mode}"):
            await done(notes.search([[1.0] * 16], mode=mode))
    far = make("notes", Words(), similarity="maxsim_l2", full_text=FullText())
    with pytest.raises(ValueError, match="expected similarity maxsim for mode hybrid"):
        await done(far.search("gout", mode="hybrid"))
    assert len(await done(far.search("gout", mode="text"))) == 1
    cosine = make("notes", Words(), similarity="maxsim_cosine", full_text=FullText())
    assert ids(await done(cosine.search("gout", 1, mode="hybrid"))) == ["gout"]


@pytest.fixture(scope="module")
def many(database: str) -> Collection:
    """Return a table that is large enough for the planner to prefer indexes."""
    random = np.random.default_rng(1)
    n = 3000
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        many = Collection(conn, "many", Words(), full_text=FullText(title="title"))
        many.create()
        many.add(
            [f"page {i} of word{i % 100}" for i in range(n)],
            ids=[str(i) for i in range(n)],
            metadata=[{"half": i % 2, "title": f"title{i % 70}"} for i in range(n)],
            docs=[random.normal(size=(8, 16)) for _ in range(n)],
        )
        many.index()
        conn.execute("ANALYZE many")
        many.analyze()
    return many


@pytest.mark.parametrize("ranker", [None, MODEL])
@pytest.mark.parametrize("where", [None, {"half": 1}, "(metadata->>'half')::int >= %s"])
def test_both_indexes_serve_the_statement(
    many: Collection, conn: psycopg.Connection[Any], where: Any, ranker: str | None
) -> None:
    """sql() is what search runs: with its parameters, it uses both indexes."""
    full_text = many.full_text
    collection = Collection(conn, "many", Words(), full_text=full_text)
    statement = collection.sql(5, mode="hybrid", where=where, ranker=ranker)
    text = "page of word7"
    of_where = [] if where is None else ['{"half": 1}' if isinstance(where, dict) else 1]
    params = [*of_where, Words().encode_query(text), text, *([ranker] if ranker else [])]
    hits = collection.search(
        text,
        5,
        mode="hybrid",
        where=where,
        params=of_where if isinstance(where, str) else (),
        ranker=ranker,
    )
    rows = conn.execute(statement, params).fetchall()
    assert [row[0] for row in rows] == ids(hits)
    plan = "\n".join(row[0] for row in conn.execute(f"EXPLAIN (VERBOSE) {statement}", params))
    assert "Index Scan using many_doc_idx on public.many" in plan
    assert "Bitmap Index Scan on many_tsv_idx" in plan
    assert plan.count("bm25_query(") == 1, "prepared once"


def test_hybrid_is_the_ranking_of_the_union(
    many: Collection, conn: psycopg.Connection[Any]
) -> None:
    """The hits are those that Python computes from both searches."""
    collection = Collection(conn, "many", Words(), full_text=many.full_text)
    text = "title7 page of word7"
    sides = [collection.search(text, 20), collection.search(text, 20, mode="text")]
    hits = collection.search(text, 50, mode="hybrid", per_side=20)
    found = {hit.id for side in sides for hit in side}
    by_words = {hit.id: hit.score for hit in sides[1]}
    assert len(hits) <= 40
    # Of equal scores by words any may be among the candidates.
    least = min(by_words.values())
    assert {hit.id for hit in hits if hit.id not in found} <= {
        hit.id for hit in hits if hit.bm25f == least
    }
    for hit in hits:
        assert hit.bm25f == pytest.approx(by_words.get(hit.id, hit.bm25f))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len(collection.search(text, 60, mode="hybrid")) == 60


def test_sql(conn: psycopg.Connection[Any]) -> None:
    collection = Collection(conn, "notes", Words(), full_text=FullText())
    assert collection.sql(5).startswith('SELECT "id", "body", "metadata", maxsim("doc", %s)')
    assert collection.sql(5, mode="text") == (
        'WITH docs AS NOT MATERIALIZED (SELECT "id", "body", "doc", "tsv", "metadata" '
        'FROM "notes"), query AS MATERIALIZED '
        "(SELECT bm25_query('\"notes_tsv_bm25\"', %s::text) AS words) "
        'SELECT docs."id", docs."body", docs."metadata", '
        'coalesce(bm25f(docs."tsv", query.words), 0) AS "score" FROM docs, query '
        'WHERE docs."tsv" @@ bm25_candidates(query.words) ORDER BY "score" DESC, docs."id" LIMIT 5'
    )
    assert "LIMIT 50" in collection.sql(5, mode="hybrid")
    assert "LIMIT 60" in collection.sql(60, mode="hybrid")
    assert "LIMIT 7" in collection.sql(60, mode="hybrid", per_side=7)
    titled = Collection(conn, "notes", Words(), full_text=FullText(title="title"))
    assert "LIMIT 20" in titled.sql(5, mode="hybrid")
    assert "0.35 * " in titled.sql(5, mode="hybrid", weight=0.35)


def test_row_level_security(conn: psycopg.Connection[Any]) -> None:
    """Statistics count hidden rows: a role under policies needs a GRANT, and sees its own rows."""
    secret = Collection(conn, "secret", Words(), full_text=FullText())
    secret.create()
    secret.add(["gout", "gout again"], ids=["mine", "other"], metadata=[{"owner": "clerk"}, {}])
    secret.analyze()
    conn.execute("""
        CREATE ROLE clerk;
        GRANT SELECT ON secret TO clerk;
        CREATE POLICY own ON secret USING (metadata->>'owner' = current_user);
        ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
        SET ROLE clerk
    """)
    modes: list[Mode] = ["text", "hybrid"]
    try:
        for mode in modes:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="secret_tsv_bm25"):
                secret.search("gout", mode=mode)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            secret.analyze()
        conn.execute("RESET ROLE; GRANT SELECT ON secret_tsv_bm25 TO clerk; SET ROLE clerk")
        for mode in modes:
            everything = "true OR true"
            assert ids(secret.search("gout", mode=mode, where=everything)) == ["mine"]
        with pytest.raises(LookupError):
            secret.terms("gout", "other")
    finally:
        conn.execute("RESET ROLE; DROP OWNED BY clerk; DROP ROLE clerk")
        secret.drop()
