"""The store of LangChain: LangChain's own suites, filters, scores, diversity."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import psycopg_pool
import pytest
from langchain_core.documents import Document
from langchain_tests.integration_tests import (
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)
from words import Words

from colbert_pg.collection import AsyncCollection, Collection, FullText, Hit
from colbert_pg.integrations._filters import FilterError
from colbert_pg.integrations.langchain import ColbertRetriever, ColbertVectorStore

DOCS = [
    Document(
        id="1", page_content="gout is treated with drugs", metadata={"page": 1, "a": {"b": 1}}
    ),
    Document(id="2", page_content="the river carries water", metadata={"page": 2, "tag": "earth"}),
    Document(
        id="3", page_content="gout is treated with rest", metadata={"page": 2.5, "tag": "50%"}
    ),
    Document(id="4", page_content="a violin has strings", metadata={"tag": None, "b.c": 1}),
]


def make(database: str, **options: Any) -> ColbertVectorStore:
    return ColbertVectorStore(Words(), f"dbname={database}", **options)


@pytest.fixture
def store(database: str) -> Iterator[ColbertVectorStore]:
    """Return an empty store. The table of the one before is gone."""
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("DROP TABLE IF EXISTS langchain_documents")
    store = make(database)
    yield store
    store.close()


@pytest.fixture
def full(store: ColbertVectorStore) -> ColbertVectorStore:
    store.add_documents(DOCS)
    return store


class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, store: ColbertVectorStore) -> ColbertVectorStore:
        return store


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def filled(self, full: ColbertVectorStore) -> None:
        self._store = full

    @property
    def retriever_constructor(self) -> type[ColbertRetriever]:
        return ColbertRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"store": self._store}

    @property
    def retriever_query_example(self) -> str:
        return "gout drugs"


def found(store: ColbertVectorStore, **arguments: Any) -> list[str | None]:
    return [doc.id for doc in store.similarity_search("gout drugs", **arguments)]


def deep(wrap: Callable[[Any], Any]) -> Any:
    """Return a filter in 3,000 others."""
    made: Any = {"page": 1}
    for _ in range(3000):
        made = wrap(made)
    return made


@pytest.mark.parametrize(
    ("filter", "ids"),
    [
        ({}, "1234"),
        ({"page": 2}, "2"),
        ({"a": {"b": 1}}, "1"),
        ({"a.b": 1}, "1"),
        ({"page": {"$eq": 2}, "tag": "earth"}, "2"),
        ({"page": {"$ne": 2}}, "134"),
        ({"page": {"$gt": 1, "$lt": 2.5}}, "2"),
        ({"page": {"$gte": 2}}, "23"),
        ({"page": {"$lte": 2}}, "12"),
        ({"page": {"$between": [1, 2]}}, "12"),
        ({"page": {"$in": [1, 2.5, "x"]}}, "13"),
        ({"page": {"$nin": [1, 2]}}, "34"),
        ({"page": {"$in": []}}, ""),
        ({"tag": None}, "14"),
        ({"tag": {"$exists": True}}, "234"),
        ({"tag": {"$exists": False}}, "1"),
        ({"tag": {"$like": "%a%"}}, "2"),
        ({"tag": {"$like": r"50\%"}}, "3"),
        ({"tag": {"$ilike": "EAR_H"}}, "2"),
        ({"tag": {"$not": {"$like": "e%"}}}, "134"),
        ({"tag": {"$gt": "50"}}, "23"),
        ({"$or": [{"page": 1}, {"tag": "earth"}]}, "12"),
        ({"$and": [{"page": {"$gt": 1}}, {"$not": {"tag": "earth"}}]}, "3"),
        ({"$and": []}, "1234"),
        ({"$or": []}, ""),
        ({"a": {}}, ""),
        ({"tag') IS NULL --": 1}, ""),
    ],
)
def test_filters(full: ColbertVectorStore, filter: dict[str, Any], ids: str) -> None:
    assert sorted(found(full, filter=filter, k=10)) == list(ids)  # type: ignore[type-var]


@pytest.mark.parametrize(
    "filter",
    [
        {"$nor": []},
        {"$or": {"a": 1}},
        {"$not": 1},
        {"page": {"$near": 1}},
        {"page": {"$gt": 1, "x": 2}},
        {"page": {"$in": 1}},
        {"page": {"$between": [1]}},
        {"page": {"$exists": 1}},
        {"page": {"$gt": [1]}},
        {"page": {"$like": 5}},
        {1: 2},
        [("page", 1)],
        deep(lambda inner: {"$not": inner}),
        deep(lambda inner: {"$and": [inner]}),
        {"page": deep(lambda inner: {"$not": inner})},
    ],
)
def test_bad_filters(full: ColbertVectorStore, filter: Any) -> None:
    with pytest.raises(FilterError, match="expected"):
        found(full, filter=filter)


def test_scores(full: ColbertVectorStore) -> None:
    [(doc, score), _] = full.similarity_search_with_score("gout is treated with drugs", k=2)
    assert doc == DOCS[0]
    assert score == pytest.approx(5, abs=0.01)
    [(doc, relevance)] = full.similarity_search_with_relevance_scores("gout drugs", k=1)
    assert doc == DOCS[0]
    assert relevance == pytest.approx(1, abs=0.01)
    threshold = {"score_threshold": 0.9, "k": 4}
    retriever = full.as_retriever(search_type="similarity_score_threshold", search_kwargs=threshold)
    assert retriever.invoke("gout rest") == [DOCS[2]]
    assert full.similarity_search_by_vector(Words().encode_query("violin"), 1) == [DOCS[3]]
    assert full.similarity_search_by_vector(Words().encode_query("violin").to_list(), 1) == [
        DOCS[3]
    ]


def test_relevance_of_distances(database: str) -> None:
    store = make(database, table="distances", similarity="maxsim_l2", element="float4")
    store.add_texts(["gout drugs", "water"], ids=["1", "2"])
    [(near, best), (far, worst)] = store.similarity_search_with_relevance_scores("gout drugs")
    assert (near.id, far.id) == ("1", "2")
    assert 0 < worst < best == pytest.approx(1)
    store.close()


def test_diversity(full: ColbertVectorStore) -> None:
    query = "gout is treated with drugs"
    assert [doc.id for doc in full.max_marginal_relevance_search(query, k=2, lambda_mult=1)] == [
        "1",
        "3",
    ]
    diverse = full.max_marginal_relevance_search(query, k=2, lambda_mult=0.3)
    assert diverse[0].id == "1"
    assert diverse[1].id in ("2", "4")
    assert len(full.max_marginal_relevance_search(query, k=4, fetch_k=3)) == 3
    retriever = full.as_retriever(search_type="mmr", search_kwargs={"k": 1, "filter": {"page": 2}})
    assert [doc.id for doc in retriever.invoke(query)] == ["2"]


def test_delete(full: ColbertVectorStore) -> None:
    full.delete([])
    assert len(found(full)) == 4
    full.delete(["1", "2"], filter={"page": 2})
    full.delete(filter={"tag": "50%"})
    assert sorted(found(full)) == ["1", "4"]  # type: ignore[type-var]
    with pytest.raises(TypeError, match="no argument where"):
        full.delete(where="true")
    empty: list[dict[str, Any]] = [{}, {"$and": []}, {"$not": {"$or": []}}, {"$or": [{}]}]
    constant: list[dict[str, Any]] = [
        {"$or": [{"page": 9}, {}]},
        {"$and": [{"page": 1}, {"$or": []}]},
    ]
    for none in empty + constant:
        for ids in (None, ["1"]):
            with pytest.raises(ValueError, match="expected a filter with a condition"):
                full.delete(ids, filter=none)
    assert sorted(found(full)) == ["1", "4"]  # type: ignore[type-var]
    full.delete()
    assert found(full) == []


def test_add(store: ColbertVectorStore) -> None:
    assert store.add_texts([]) == []
    ids = store.add_texts((text for text in ["gout", "gout"]), [{"n": 1}, {"n": 2}])
    assert len(set(ids)) == 2
    store.add_texts(["water", "gout"], ids=["same", "same"])  # as if one came after the other
    assert [doc.page_content for doc in store.get_by_ids(["same", "none"])] == ["gout"]
    with pytest.raises(ValueError, match="expected 2 metadata"):
        store.add_texts(["gout", "gout"], [{}])
    with pytest.raises(ValueError, match="text 2: expected a word"):
        store.add_texts(["gout", "?"])
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        store.add_texts(["gout"], colour="red")


def test_from_documents(database: str) -> None:
    options: dict[str, Any] = {"connection": f"dbname={database}", "table": "from_documents"}
    store = ColbertVectorStore.from_documents(DOCS, Words(), **options)
    assert found(store, k=1) == ["1"]
    again = ColbertVectorStore(Words(), lambda: f"dbname={database}", "from_documents")
    assert again.get_by_ids(["3"]) == [DOCS[2]]
    store.close()
    assert found(store, k=1) == ["1"]  # it connects again
    store.close()
    again.close()


async def test_own_pools(database: str) -> None:
    conninfo, table = f"dbname={database}", "own_pools"
    with psycopg_pool.ConnectionPool(conninfo, min_size=1, open=True) as pool:
        collection = Collection(pool, table, Words())
        collection.create()
        store = ColbertVectorStore.of(collection)
        store.add_documents(DOCS)
        assert await store.asimilarity_search("gout drugs", 1, filter={"page": 1}) == [DOCS[0]]
        await store.adelete(["1"])
        await store.aclose()
        assert found(store, k=1) == ["3"]
        async with psycopg_pool.AsyncConnectionPool(conninfo, min_size=1, open=False) as apool:
            both = ColbertVectorStore.of(collection, AsyncCollection(apool, table, Words()))
            assert await both.asimilarity_search("gout drugs", 1) == [DOCS[2]]
        with pytest.raises(ValueError, match="a collection with an encoder"):
            ColbertVectorStore.of(Collection(pool, table))


def test_event_loops(database: str) -> None:
    """A store works in one event loop after another, and in threads meanwhile."""
    store = make(database, table="loops")

    async def use(text: str) -> list[Document]:
        await store.aadd_texts([text], ids=[text])
        found = await asyncio.gather(*[store.asimilarity_search("gout", k=3) for _ in range(20)])
        assert all(docs == found[0] for docs in found)
        await store.aclose()
        return found[0]

    for count, text in enumerate(["gout", "water", "violin"], 1):
        assert len(asyncio.run(use(text))) == count
        assert len(store.similarity_search("gout")) == count
    store.close()


def connections(database: str) -> int:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        [(count,)] = conn.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    return int(count)


def wait_for_none(database: str) -> None:
    """Wait until the server has seen the end of all connections."""
    for _ in range(200):
        if connections(database) == 0:
            return
        time.sleep(0.05)
    assert connections(database) == 0


def test_event_loops_that_end_leave_no_connection(database: str) -> None:
    """asyncio.run closes the connections of the store, without aclose and without another use."""
    store = make(database, table="ended")
    for n in range(3):
        asyncio.run(store.aadd_texts(["gout"], ids=[str(n)]))
        wait_for_none(database)
    store.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_event_loops_that_are_closed_leave_no_connection(database: str) -> None:
    """The next use closes those of a loop that was closed without asyncio.run."""
    store = make(database, table="closed")

    def use() -> None:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)  # tasks of the pool are pending
        loop.run_until_complete(store.aget_by_ids(["1"]))
        loop.close()

    use()
    assert connections(database) >= 1
    asyncio.run(store.aget_by_ids(["1"]))
    wait_for_none(database)
    use()
    store.close()
    wait_for_none(database)
    gc.collect()  # what the closed loops leave is ignored here, not in the test that follows


async def test_async(store: ColbertVectorStore, database: str) -> None:
    await store.aadd_documents(DOCS)
    query = "gout is treated with drugs"
    assert await store.aget_by_ids(["2"]) == [DOCS[1]]
    assert await store.asimilarity_search(query, 1, filter={"page": 2}) == [DOCS[1]]
    [(doc, score)] = await store.asimilarity_search_with_score(query, 1)
    assert doc == DOCS[0]
    assert score == pytest.approx(5, abs=0.01)
    [(_, relevance)] = await store.asimilarity_search_with_relevance_scores(query, 1)
    assert relevance == pytest.approx(1, abs=0.01)
    mmr = await store.amax_marginal_relevance_search(query, k=2, lambda_mult=1)
    assert [doc.id for doc in mmr] == ["1", "3"]
    vector = Words().encode_query("violin")
    assert await store.asimilarity_search_by_vector(vector, 1) == [DOCS[3]]
    await store.adelete(filter={"page": {"$exists": True}})
    assert [doc.id for doc in await store.asimilarity_search(query)] == ["4"]
    options: dict[str, Any] = {"connection": f"dbname={database}", "table": "afrom_texts"}
    made = await ColbertVectorStore.afrom_texts(["gout"], Words(), **options)
    assert len(await made.asimilarity_search("gout")) == 1
    await made.aclose()
    await store.aclose()


def longest(query: str, hits: list[Hit]) -> list[float]:
    assert query == "gout"
    return [float(len(hit.text)) for hit in hits]


async def test_retriever(full: ColbertVectorStore) -> None:
    retriever = ColbertRetriever(store=full, k=2, score_key="score", filter={"page": {"$gte": 1}})
    docs = retriever.invoke("gout drugs")
    assert [doc.id for doc in docs] == ["1", "3"]
    assert docs[0].metadata == {**DOCS[0].metadata, "score": pytest.approx(2, abs=0.01)}
    assert [doc.id for doc in retriever.invoke("gout drugs", filter={"page": 2})] == ["2"]
    reranked = ColbertRetriever(store=full, k=1, rerank=longest, candidates=4)
    expected = max(DOCS, key=lambda doc: len(doc.page_content))
    assert reranked.invoke("gout") == [expected]
    assert await reranked.ainvoke("gout") == [expected]
    await full.aclose()


async def test_full_text(database: str) -> None:
    """Titles are section A; searches and retrievers take the mode and the weight."""
    full_text = FullText(title="title")
    store = make(database, table="full_text", full_text=full_text)
    titled = [
        Document(id=name, page_content="It has a filter.", metadata={"title": f"Pump {name}"})
        for name in ("X7", "X8", "X9")
    ]
    store.add_documents(titled)
    store.analyze()
    [words] = store.similarity_search("x8", mode="text")
    assert words.id == "X8"
    [best] = store.similarity_search("filter of the X8", 1, mode="hybrid")
    assert best.id == "X8"
    search_kwargs: dict[str, Any] = {"k": 1, "mode": "hybrid", "weight": 0.1}
    retriever = store.as_retriever(search_kwargs=search_kwargs)
    assert [doc.id for doc in await retriever.ainvoke("filter x9")] == ["X9"]
    own = ColbertRetriever(store=store, k=1, mode="hybrid", weight=0.1, filter={"title": "Pump X7"})
    assert [doc.id for doc in own.invoke("filter x9")] == ["X7"]
    relevant = store.similarity_search_with_relevance_scores("filter x7", 3, mode="hybrid")
    assert [0 <= score <= 1 for _, score in relevant] == [True] * 3
    assert relevant == await store.asimilarity_search_with_relevance_scores(
        "filter x7", 3, mode="hybrid"
    )
    with pytest.raises(ValueError, match="other scores have no bound"):
        store.similarity_search_with_relevance_scores("filter", mode="text")
    await store.aanalyze(sample=1000)
    await store.aclose()
    store.close()


def test_errors_leave_nothing_open(database: str) -> None:
    named = f"dbname={database} application_name=leak"
    store = ColbertVectorStore(Words(), named, "absent", create=False)
    with pytest.raises(psycopg.errors.UndefinedTable):
        store.similarity_search("gout")
    store.close()
    make_table(database)
    with pytest.raises(ValueError, match="dims"):
        ColbertVectorStore(Words(dims=3), named, "dims").similarity_search("gout")
    wait_until_closed(database, "leak")


async def test_errors_leave_nothing_open_async(database: str) -> None:
    named = f"dbname={database} application_name=leak_async"
    make_table(database)
    store = ColbertVectorStore(Words(dims=3), named, "dims")
    for _ in range(2):  # the second one tries again
        with pytest.raises(ValueError, match="dims"):
            await store.asimilarity_search("gout")
    wait_until_closed(database, "leak_async")
    await store.aclose()


def make_table(database: str) -> None:
    store = make(database, table="dims")
    store.add_texts([])
    store.close()


def wait_until_closed(database: str, name: str) -> None:
    """Wait until the server has ended the sessions of an application."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        for _ in range(100):
            if conn.execute(query, (name,)).fetchone() == (0,):
                return
            time.sleep(0.1)
    pytest.fail(f"sessions of {name} are still open")
