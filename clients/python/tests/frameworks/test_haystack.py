"""The document store of Haystack: Haystack's own suites, filters as in memory, pipelines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import psycopg
import pytest
from haystack import Document, Pipeline
from haystack.components.writers import DocumentWriter
from haystack.core.errors import DeserializationError, SerializationError
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy, FilterPolicy
from haystack.errors import FilterError
from haystack.testing import document_store as suites
from haystack.testing import document_store_async as async_suites
from haystack.utils import Secret
from haystack.utils.filters import document_matches_filter
from hypothesis import given
from hypothesis import strategies as st
from words import Words

from colbert_pg.collection import Columns, FullText
from colbert_pg.encoders import TextError
from colbert_pg.integrations.haystack import ColbertDocumentStore, ColbertRetriever

FULL = Document(
    id="full",
    content="gout is treated with drugs",
    meta={"n": 1, "x": [1, {"y": None}], "float": 1.0, "text": "é%"},
    score=0.5,
    embedding=[0.1, 1e-300, -2.0],
    sparse_embedding=SparseEmbedding([1, 5], [0.5, 0.25]),
    blob=ByteStream(b"\0\xff", {"page": 1}, "image/png"),
)
EMPTY = Document(id="empty", blob=ByteStream(b""))
BLANK = Document(id="blank", content=" ")


def make(database: str, **options: Any) -> ColbertDocumentStore:
    secret = Secret.from_token(f"dbname={database}")
    return ColbertDocumentStore(**{"encoder": Words(), "connection_string": secret, **options})


@pytest.fixture
def document_store(database: str) -> Iterator[ColbertDocumentStore]:
    """Return an empty store. The table of the one before is gone."""
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("DROP TABLE IF EXISTS haystack_documents")
    store = make(database)
    yield store
    store.close()


class ById:
    """Compares documents ordered by id, as the store returns them."""

    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]) -> None:
        assert received == sorted(expected, key=lambda document: document.id)


class TestStore(
    ById,
    suites.DocumentStoreBaseExtendedTests,
    suites.CountDocumentsByFilterTest,
    suites.CountUniqueMetadataByFilterTest,
    suites.GetMetadataFieldsInfoTest,
    suites.GetMetadataFieldMinMaxTest,
    suites.GetMetadataFieldUniqueValuesTest,
):
    @pytest.fixture
    def document_store(self, document_store: ColbertDocumentStore) -> ColbertDocumentStore:
        return document_store

    def test_write_documents(self, document_store: ColbertDocumentStore) -> None:
        """Without a policy, a document that exists is an error."""
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document])
        assert document_store.filter_documents() == [document]


class TestStoreAsync(
    ById,
    async_suites.CountDocumentsAsyncTest,
    async_suites.CountDocumentsByFilterAsyncTest,
    async_suites.CountUniqueMetadataByFilterAsyncTest,
    async_suites.DeleteAllAsyncTest,
    async_suites.DeleteByFilterAsyncTest,
    async_suites.DeleteDocumentsAsyncTest,
    async_suites.FilterDocumentsAsyncTest,
    async_suites.GetMetadataFieldMinMaxAsyncTest,
    async_suites.GetMetadataFieldsInfoAsyncTest,
    async_suites.GetMetadataFieldUniqueValuesAsyncTest,
    async_suites.UpdateByFilterAsyncTest,
    async_suites.WriteDocumentsAsyncTest,
):
    @pytest.fixture
    async def document_store(self, document_store: ColbertDocumentStore) -> Any:
        yield document_store
        await document_store.close_async()

    async def test_write_documents_async(self, document_store: ColbertDocumentStore) -> None:
        document = Document(content="test doc")
        assert await document_store.write_documents_async([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            await document_store.write_documents_async([document])
        assert await document_store.filter_documents_async() == [document]


def test_every_suite_runs() -> None:
    """A later Haystack may have more of them."""
    for module, tests in ((suites, TestStore), (async_suites, TestStoreAsync)):
        found = [suite for name, suite in vars(module).items() if name.endswith("Test")]
        assert [suite for suite in found if not issubclass(tests, suite)] == []


def test_documents_come_back(document_store: ColbertDocumentStore) -> None:
    documents = [BLANK, EMPTY, FULL]
    assert document_store.write_documents(documents) == 3
    assert document_store.filter_documents() == documents
    # No search finds a row without text.
    [found] = document_store.retrieve("gout drugs")
    assert found.id == "full"
    assert found.score == pytest.approx(2, abs=0.01)
    assert document_store.get_metadata_fields_info() == {
        "float": {"type": "float"},
        "n": {"type": "int"},
        "text": {"type": "keyword"},
        "x": {"type": "keyword"},
    }


def test_policies(document_store: ColbertDocumentStore) -> None:
    encoder = document_store.encoder
    assert isinstance(encoder, Words)
    first, second = Document(id="1", content="gout"), Document(id="1", content="water")
    other = Document(id="2", content="violin")
    with pytest.raises(DuplicateDocumentError, match="'1'"):
        document_store.write_documents([other, first, second])
    assert document_store.count_documents() == 0
    assert document_store.write_documents([first, second], DuplicatePolicy.SKIP) == 1
    encoder.encoded.clear()
    assert document_store.write_documents([second, other], DuplicatePolicy.SKIP) == 1
    assert encoder.encoded == ["violin"]  # no text is encoded in vain
    assert document_store.filter_documents() == [first, other]
    assert document_store.write_documents([first, second], DuplicatePolicy.OVERWRITE) == 2
    assert document_store.filter_documents() == [second, other]
    assert document_store.retrieve("water")[0].id == "1"


def test_a_document_that_comes_meanwhile(database: str, document_store: Any) -> None:
    document_store.count_documents()

    class Late(Words):
        def encode(self, texts: list[str], *, query: bool) -> list[Any]:
            document_store.write_documents([Document(id="1", content="water")])
            return super().encode(texts, query=query)

    late = make(database, encoder=Late())
    with pytest.raises(DuplicateDocumentError, match="'1'"):
        late.write_documents([Document(id="1", content="gout")])
    late.close()


def test_bad_documents(document_store: ColbertDocumentStore) -> None:
    good, bad = Document(content="gout"), Document(content="?")
    with pytest.raises(TextError, match="text 3: expected a word"):
        document_store.write_documents([good, EMPTY, bad])
    with pytest.raises(ValueError, match="no key _haystack"):
        document_store.write_documents([Document(content="gout", meta={"_haystack": 1})])
    with pytest.raises(ValueError, match="no key _haystack"):
        document_store.update_by_filter({}, {"_haystack": 1})
    with pytest.raises(TextError, match="not JSON serializable"):
        document_store.write_documents([Document(content="gout", meta={"n": {1, 2}})])
    assert document_store.count_documents() == 0


def test_values_of_a_field(document_store: ColbertDocumentStore) -> None:
    values: list[Any] = [1, 2.5, "b", "B", True, None, [1], "50%"]
    document_store.write_documents(
        [Document(content="gout", meta={"v": value, "place": n}) for n, value in enumerate(values)]
    )
    assert document_store.get_metadata_field_min_max("v") == {"min": None, "max": None}
    assert document_store.get_metadata_field_unique_values("v", "B") == (["B", "b"], 2)
    assert document_store.get_metadata_field_unique_values("v", "%") == (["50%"], 1)
    found, total = document_store.get_metadata_field_unique_values("meta.v", size=20)
    assert (len(found), total) == (7, 7)
    assert document_store.get_metadata_field_unique_values("v", from_=7) == ([], 7)
    with pytest.raises(ValueError, match="at least 0"):
        document_store.get_metadata_field_unique_values("v", from_=-1)
    some = {"field": "meta.place", "operator": "in", "value": [2, 3]}
    assert document_store.count_unique_metadata_by_filter(some, ["v", "no"]) == {"v": 2, "no": 0}


def test_names_with_percent_signs(database: str) -> None:
    store = make(database, table="100%s", columns=Columns(metadata="%(m)s"))
    store.write_documents([FULL])
    one = {"field": "meta.n", "operator": "==", "value": 1}
    assert store.update_by_filter(one, {"n": 2}) == 1
    assert store.count_unique_metadata_by_filter({}, ["n"]) == {"n": 1}
    assert store.get_metadata_field_min_max("n") == {"min": 2, "max": 2}
    store.delete_all_documents(recreate_index=True)
    assert store.count_documents() == 0
    store.close()


def test_delete_all_keeps_the_index(document_store: ColbertDocumentStore) -> None:
    assert document_store.create_index(quantizer="bit") == "haystack_documents_doc_idx"
    for recreate in (False, True):
        document_store.write_documents([Document(content="gout"), Document(content="water")])
        assert document_store.retrieve("gout", top_k=1)[0].content == "gout"
        document_store.delete_all_documents(recreate)
        assert document_store.retrieve("gout") == []


# Filters: the same as Haystack's evaluation in Python.

DATES = ["2020-01-01", "2020-01-01T00:00:00Z", "2020-01-01T01:00:00+01:00", "2019-12-31T23:00"]
VALUES = st.sampled_from(
    [None, 1, 2.5, -3, "a", "b", "", "it's", "%s", ["a", 1], [], {"k": "a"}, *DATES]
)
METAS = st.dictionaries(st.sampled_from(["a", "b", "%s", '"']), VALUES, max_size=3)
FOUND = st.lists(st.tuples(st.sampled_from([None, "a", "b"]), METAS), max_size=5)
FIELDS = st.sampled_from(
    ["meta.a", "meta.b", "meta.a.k", "meta.%s", 'meta."', "a", "a.k", "id", "content", "id.x"]
)
MOMENTS = st.sampled_from(
    [datetime(2020, 1, 1), datetime(2020, 1, 1, 5, 30, tzinfo=timezone.utc), datetime(2019, 1, 1)]
)


def comparison(operator: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"field": FIELDS, "operator": st.just(operator), "value": values | st.just("d0")}
    )


COMPARISONS = st.one_of(
    *(comparison(operator, VALUES | MOMENTS) for operator in ("==", "!=")),
    *(comparison(operator, st.lists(VALUES, max_size=3)) for operator in ("in", "not in")),
    *(
        comparison(operator, st.sampled_from([None, 1, 2.5, 0, *DATES]) | MOMENTS)
        for operator in (">", ">=", "<", "<=")
    ),
)


def logic(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "operator": st.sampled_from(["AND", "OR", "NOT"]),
            "conditions": st.lists(inner, max_size=3),
        }
    )


FILTERS = st.recursive(COMPARISONS, logic, max_leaves=4)


def expected_of(filters: dict[str, Any], documents: list[Document]) -> list[Document] | None:
    """Return what Haystack selects in memory, or None if it refuses to compare."""
    try:
        return [document for document in documents if document_matches_filter(filters, document)]
    except FilterError:
        return None
    except TypeError:  # a comparison of a list with a number, which Haystack overlooks
        return None


@pytest.fixture(scope="module")
def compared(database: str) -> Iterator[ColbertDocumentStore]:
    store = make(database, table="compared")
    yield store
    store.close()


@given(FOUND, st.lists(FILTERS, min_size=1, max_size=4))
def test_filters_as_in_memory(
    compared: ColbertDocumentStore,
    found: list[tuple[str | None, dict[str, Any]]],
    many: list[dict[str, Any]],
) -> None:
    documents = [
        # Haystack takes "1" for the first of this month
        Document(id=f"d{n}", content=content, meta=meta)
        for n, (content, meta) in enumerate(found)
    ]
    compared.delete_all_documents()
    compared.write_documents(documents)
    for filters in many:
        expected = expected_of(filters, documents)
        try:
            received = compared.filter_documents(filters)
        except FilterError:
            received = None
        if expected is not None and received is not None:
            assert received == expected, filters
            assert compared.count_documents_by_filter(filters) == len(expected)


def test_filters_of_other_fields(document_store: ColbertDocumentStore) -> None:
    document_store.write_documents([FULL, EMPTY, BLANK])

    def select(field: str, operator: str, value: Any) -> list[str]:
        filters = {"field": field, "operator": operator, "value": value}
        return [document.id for document in document_store.filter_documents(filters)]

    assert select("blob", "!=", None) == ["empty", "full"]
    assert select("embedding", "==", None) == ["blank", "empty"]
    assert select("sparse_embedding", "!=", None) == ["full"]
    assert select("score", ">", 0.4) == ["full"]
    assert select("content", "==", None) == ["empty"]
    assert select("content", "in", [None, " "]) == ["blank", "empty"]
    assert select("content", "not in", [None]) == ["blank", "full"]
    assert select("id", "in", ["full", "none", 5]) == ["full"]
    assert select("meta.x", "==", [1, {"y": None}]) == ["full"]


def deep(operator: str) -> Any:
    """Return filters in 3,000 others."""
    filters: Any = {"field": "meta.n", "operator": "==", "value": 1}
    for _ in range(3000):
        filters = {"operator": operator, "conditions": [filters]}
    return filters


@pytest.mark.parametrize("field", ["meta._haystack", "meta._haystack.embedding", "_haystack"])
def test_the_key_of_the_store_is_no_field(document_store: ColbertDocumentStore, field: str) -> None:
    document_store.write_documents([Document(id="1", content="a", embedding=[0.1])])
    for value, count in ((None, 1), ("x", 0)):
        found = document_store.filter_documents({"field": field, "operator": "==", "value": value})
        assert len(found) == count


@pytest.mark.parametrize(
    "filters",
    [
        {"operator": "and", "conditions": []},
        {"operator": ["AND"], "conditions": []},
        {"operator": "AND", "conditions": {}},
        {"operator": "AND", "conditions": ["x"]},
        {"field": 1, "operator": "==", "value": 1},
        {"field": "meta.n", "operator": "=", "value": 1},
        {"field": "meta", "operator": "==", "value": {}},
        {"field": "embedding", "operator": "==", "value": [0.1]},
        {"field": "meta.n", "operator": ">", "value": "yesterday"},
        {"field": "meta.n", "operator": ">", "value": [1]},
        {"field": "content", "operator": "in", "value": "x"},
        {"field": "no.such", "operator": "in", "value": "x"},
        {"field": "meta.n", "operator": "==", "value": {1}},
        {"x": 1},
        {1: 2},
        [1],
        deep("NOT"),
    ],
)
def test_bad_filters(document_store: ColbertDocumentStore, filters: Any) -> None:
    for method in (
        document_store.filter_documents,
        document_store.delete_by_filter,
        document_store.count_documents_by_filter,
        lambda found: document_store.retrieve("gout", found),
    ):
        with pytest.raises(FilterError, match="expected"):
            method(filters)


def test_changes_need_filters(document_store: ColbertDocumentStore) -> None:
    document_store.write_documents([FULL])
    with pytest.raises(FilterError, match="expected filters"):
        document_store.delete_by_filter({})
    with pytest.raises(FilterError, match="expected filters"):
        document_store.update_by_filter({}, {"n": 2})
    with pytest.raises(FilterError, match="expected filters"):
        document_store.delete_by_filter({"operator": "AND", "conditions": []})
    assert document_store.count_documents_by_filter({}) == 1
    assert document_store.filter_documents() == [FULL]


# Components and pipelines.


def test_retriever(document_store: ColbertDocumentStore) -> None:
    documents = [
        Document(id="1", content="gout drugs", meta={"n": 1, "s": "a"}),
        Document(id="2", content="gout rest", meta={"n": 2, "s": "a"}),
        Document(id="3", content="gout water", meta={"n": 2, "s": "b"}),
    ]
    document_store.write_documents(documents)
    n2 = {"field": "meta.n", "operator": "==", "value": 2}
    a = {"field": "meta.s", "operator": "==", "value": "a"}

    def run(retriever: Any, **options: Any) -> list[str]:
        return [document.id for document in retriever.run("gout drugs", **options)["documents"]]

    assert run(ColbertRetriever(document_store, top_k=1)) == ["1"]
    retriever = ColbertRetriever(document_store, filters=n2)
    assert sorted(run(retriever)) == ["2", "3"]
    assert sorted(run(retriever, filters=a)) == ["1", "2"]
    assert run(retriever, filters=a, top_k=0) == []
    merging = ColbertRetriever(document_store, filters=n2, filter_policy=FilterPolicy.MERGE)
    assert run(merging, filters=a) == ["2"]
    vectors = Words().encode_query("water").to_list()
    assert retriever.run(vectors, top_k=1)["documents"][0].id == "3"
    with pytest.raises(ValueError, match="expected a ColbertDocumentStore, not int"):
        ColbertRetriever(5)  # type: ignore[arg-type]


def pipelines(store: ColbertDocumentStore) -> tuple[Pipeline, Pipeline]:
    """Return one that writes documents, and one that finds them."""
    writing, finding = Pipeline(), Pipeline()
    writing.add_component("writer", DocumentWriter(store, DuplicatePolicy.SKIP))
    finding.add_component("retriever", ColbertRetriever(store, top_k=1))
    return writing, finding


def test_pipelines_are_saved(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLBERT_TEST", f"dbname={database}")
    store = ColbertDocumentStore(
        encoder="minilm:threads=1",
        connection_string=Secret.from_env_var("COLBERT_TEST"),
        table="saved",
        columns=Columns(text="content"),
        similarity="maxsim_cosine",
    )
    texts = [pipeline.dumps() for pipeline in pipelines(store)]
    assert database not in "".join(texts)
    with pytest.raises(DeserializationError, match="colbert_pg"):
        Pipeline.loads(texts[0])
    writing, finding = (Pipeline.loads(text, allowed_modules=["colbert_pg"]) for text in texts)
    assert [pipeline.dumps() for pipeline in (writing, finding)] == texts
    assert finding.get_component("retriever").document_store.columns == Columns(text="content")
    documents = [Document(content="Gout is treated with drugs."), Document(content="Water is wet.")]
    assert writing.run({"writer": {"documents": documents}}) == {"writer": {"documents_written": 2}}
    result = finding.run({"retriever": {"query": "medicine for a painful joint"}})
    assert result["retriever"]["documents"][0].content == "Gout is treated with drugs."
    for pipeline in (writing, finding):
        pipeline.close()


def test_full_text(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The title of the meta is section A; a pipeline keeps the mode and the weight."""
    monkeypatch.setenv("COLBERT_TEST", f"dbname={database}")
    store = ColbertDocumentStore(
        encoder="minilm:threads=1",
        connection_string=Secret.from_env_var("COLBERT_TEST"),
        table="titled",
        full_text=FullText(title="title"),
    )
    store.write_documents(
        [
            Document(id=name, content="It has a filter.", meta={"title": f"Pump {name}"})
            for name in ("X7", "X8")
        ]
    )
    store.analyze()
    assert [document.id for document in store.retrieve("x8", mode="text")] == ["X8"]
    pipeline = Pipeline()
    retriever = ColbertRetriever(store, top_k=1, mode="hybrid", weight=0.1, per_side=5)
    pipeline.add_component("retriever", retriever)
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["colbert_pg"])
    assert again.dumps() == pipeline.dumps()
    for name in ("X7", "X8"):
        found = again.run({"retriever": {"query": f"filter of the {name}"}})
        assert found["retriever"]["documents"][0].id == name
    asyncio.run(store.analyze_async(sample=1000))
    again.close()
    store.close()


def test_encoders_that_cannot_be_saved(document_store: ColbertDocumentStore) -> None:
    with pytest.raises(SerializationError, match="specification, such as 'minilm', not Words"):
        document_store.to_dict()
    token = make("x", encoder="minilm")
    with pytest.raises(ValueError, match="ecret"):
        token.to_dict()
    with pytest.raises(ValueError, match="expected a column of metadata"):
        make("x", columns=Columns(metadata=None))
    with pytest.raises(ValueError, match="expected an encoder"):
        make("x", encoder="none").warm_up()


def test_pipelines_in_event_loops(document_store: ColbertDocumentStore) -> None:
    writing, finding = pipelines(document_store)

    async def use(text: str) -> int:
        await writing.run_async({"writer": {"documents": [Document(id=text, content=text)]}})
        runs = [finding.run_async({"retriever": {"query": text}}) for _ in range(10)]
        results = await asyncio.gather(*runs)
        assert {result["retriever"]["documents"][0].id for result in results} == {text}
        await document_store.close_async()
        return document_store.count_documents()

    assert [asyncio.run(use(text)) for text in ("gout", "water")] == [1, 2]


async def test_async_index(document_store: ColbertDocumentStore) -> None:
    assert await document_store.create_index_async() == "haystack_documents_doc_idx"
    await document_store.write_documents_async([FULL])
    assert (await document_store.retrieve_async("gout"))[0].id == "full"
    await document_store.close_async()
