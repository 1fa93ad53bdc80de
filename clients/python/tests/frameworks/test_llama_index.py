"""LlamaIndex: the vector store, the retriever, and what LlamaIndex builds on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.llms.mock import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import (
    BaseNode,
    ImageNode,
    IndexNode,
    MetadataMode,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn
from words import Words

from colbert_pg.collection import AsyncCollection, Collection, Columns, FullText
from colbert_pg.encoders import OnnxEncoder, TextError
from colbert_pg.integrations._filters import FilterError
from colbert_pg.integrations.llama_index import ColbertRetriever, ColbertVectorStore

EMBEDDING = MockEmbedding(embed_dim=1)
COLUMNS = Columns(id="key", text="passage", metadata='about "it" %s')


def filters(*items: Any, condition: str = "and") -> MetadataFilters:
    return MetadataFilters(
        filters=[
            item if isinstance(item, MetadataFilters) else MetadataFilter(**item) for item in items
        ],
        condition=FilterCondition(condition),
    )


def where(key: str, operator: str, value: Any) -> MetadataFilters:
    return filters({"key": key, "operator": FilterOperator(operator), "value": value})


def node(id: str, text: str, document: str | None = None, **metadata: Any) -> TextNode:
    made = TextNode(id_=id, text=text, metadata=metadata)
    if document:
        made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document)
    return made


NODES = [
    node("n1", "gout joint pain", "d1", year=2001, tags=["bone", "pain"]),
    node("n2", "moon and sea", "d1", year=2002, tags=["sky"]),
    node("n3", "violin bow", "d2", year=2003),
]


class Facade:
    """A store whose methods are awaited, whatever they are."""

    def __init__(self, store: ColbertVectorStore, prefix: str) -> None:
        self.store, self._prefix = store, prefix

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if not self._prefix:
            method = getattr(self.store, name)
            return lambda *args, **options: asyncio.to_thread(method, *args, **options)
        asynchronous: Callable[..., Awaitable[Any]] = getattr(
            self.store, "async_add" if name == "add" else f"a{name}"
        )
        return asynchronous


@pytest.fixture
def collection(database: str) -> Iterator[Collection]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        made = Collection(conn, "Nodes of it", Words(), columns=COLUMNS)
        made.create()
        yield made
        made.drop()


@pytest.fixture
def store(collection: Collection) -> ColbertVectorStore:
    return ColbertVectorStore(collection)


@pytest.fixture(params=["sync", "thread", "async"])
async def facade(
    request: pytest.FixtureRequest, collection: Collection, database: str
) -> AsyncIterator[Facade]:
    if request.param != "async":
        yield Facade(ColbertVectorStore(collection), "" if request.param == "sync" else "a")
        return
    async with await psycopg.AsyncConnection.connect(f"dbname={database}", autocommit=True) as conn:
        other = AsyncCollection(conn, "Nodes of it", Words(), columns=COLUMNS)
        yield Facade(ColbertVectorStore(async_collection=other), "a")


def ids(nodes: Any) -> list[str]:
    return [found.node_id for found in nodes]


async def test_all_methods(facade: Facade) -> None:
    assert await facade.add(NODES) == ["n1", "n2", "n3"]
    assert await facade.add([]) == []
    result: VectorStoreQueryResult = await facade.query(
        VectorStoreQuery(query_str="sea and moon", similarity_top_k=2)
    )
    assert result.ids is not None
    assert result.ids[0] == "n2"
    assert ids(result.nodes) == result.ids
    assert result.similarities == sorted(result.similarities or [], reverse=True)
    assert ids(await facade.get_nodes()) == ["n1", "n2", "n3"]
    assert ids(await facade.get_nodes(["n3", "n1", "nothing"])) == ["n3", "n1"]
    assert ids(await facade.get_nodes(filters=where("year", ">", 2001))) == ["n2", "n3"]
    assert ids(await facade.get_nodes(["n3", "n1"], where("year", "<", 2003))) == ["n1"]
    assert ids(await facade.get_nodes([])) == []
    assert ids(await facade.get_nodes([], where("year", ">", 0))) == []
    await facade.delete_nodes()
    await facade.delete_nodes(filters=filters())
    await facade.delete_nodes(filters=filters(filters(), condition="or"))
    await facade.delete_nodes([], where("year", ">", 0))
    await facade.delete_nodes(["n2", "n3"], where("year", "==", 2003))
    assert ids(await facade.get_nodes()) == ["n1", "n2"]
    await facade.add([node("n4", "bread", "d2")])
    await facade.delete("d1")
    assert ids(await facade.get_nodes()) == ["n4"]
    await facade.clear()
    assert await facade.get_nodes() == []


def test_a_store_of_an_async_collection_is_awaited(database: str) -> None:
    async def run() -> None:
        async with await psycopg.AsyncConnection.connect(f"dbname={database}") as conn:
            store = ColbertVectorStore(async_collection=AsyncCollection(conn, "nodes"))
            assert isinstance(store.client, AsyncCollection)
            with pytest.raises(ValueError, match="an async_collection alone"):
                store.get_nodes()

    asyncio.run(run())
    with pytest.raises(ValueError, match="expected a collection or an async_collection"):
        ColbertVectorStore()


def test_a_store_is_a_component(store: ColbertVectorStore) -> None:
    assert store.class_name() == "ColbertVectorStore"
    assert isinstance(store.client, Collection)
    assert store.stores_text
    assert not store.is_embedding_query
    assert store.to_dict()["metadata_mode"] == MetadataMode.EMBED


@pytest.mark.parametrize(
    "made",
    [
        node("a", "text", "document", nested={"list": [1, None, 2.5]}, name="Ü"),
        IndexNode(id_="b", text="text", index_id="other"),
        ImageNode(id_="c", text="text", image="aGk=", image_mimetype="image/png"),
        TextNode(id_="d", text="text", metadata={"ref_doc_id": "mine", "doc_id": 1}),
        TextNode(id_="e", text="text", start_char_idx=3, end_char_idx=7, embedding=[0.5]),
    ],
    ids=lambda made: type(made).__name__,
)
def test_nodes_come_back(store: ColbertVectorStore, made: BaseNode) -> None:
    store.add([made])
    [found] = store.get_nodes()
    assert type(found) is type(made)
    wanted = {**made.model_dump(), "embedding": None}
    assert found.model_dump() == wanted
    assert found.ref_doc_id == made.ref_doc_id


def test_a_node_of_text_resources(store: ColbertVectorStore) -> None:
    made = Node(id_="a", text_resource={"text": "violin"}, metadata={"x": 1})
    store.add([made])
    [found] = store.get_nodes()
    assert isinstance(found, Node)
    assert (found.get_content(), found.metadata) == ("violin", {"x": 1})


def test_nodes_are_replaced(store: ColbertVectorStore) -> None:
    store.add([node("a", "moon", "d1"), node("b", "sea")])
    store.add([node("a", "violin", "d2")])
    found = {made.node_id: made.get_content() for made in store.get_nodes()}
    assert found == {"a": "violin", "b": "sea"}
    store.delete("d1")
    assert len(store.get_nodes()) == 2


def test_rows_of_others_are_text_nodes(collection: Collection) -> None:
    collection.add(["moon"], ids=["row"], metadata=[{"year": 3}])
    store = ColbertVectorStore(collection)
    [found] = store.get_nodes(filters=where("year", "==", 3))
    assert isinstance(found, TextNode)
    assert (found.node_id, found.text, found.metadata) == ("row", "moon", {"year": 3})


@pytest.mark.parametrize(
    ("mode", "encoded"), [(MetadataMode.EMBED, "title: Sky\n\nmoon"), (MetadataMode.NONE, "moon")]
)
def test_what_is_encoded(collection: Collection, mode: MetadataMode, encoded: str) -> None:
    made = TextNode(id_="a", text="moon", metadata={"title": "Sky", "path": "/x"})
    made.excluded_embed_metadata_keys = ["path"]
    store = ColbertVectorStore(collection, metadata_mode=mode)
    store.add([made])
    encoder = collection._do.encoder
    assert isinstance(encoder, Words)
    assert encoder.encoded == [encoded]
    assert [record.text for record in collection.get(["a"])] == ["moon"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (VectorStoreQuery(query_str="a", mode=VectorStoreQueryMode.HYBRID), "full_text for mode"),
        (VectorStoreQuery(query_str="a", alpha=0.5), "weight only with mode hybrid"),
        (
            VectorStoreQuery(query_str="a", mode=VectorStoreQueryMode.MMR),
            "default, text_search, hybrid, not mmr",
        ),
        (VectorStoreQuery(query_embedding=[0.5]), "expected query_str"),
        (VectorStoreQuery(query_str=""), "expected query_str"),
    ],
)
def test_queries_that_are_refused(
    store: ColbertVectorStore, query: VectorStoreQuery, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        store.query(query)


async def test_full_text(database: str) -> None:
    """The title of the metadata is section A; alpha is the weight of MaxSim."""
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        pumps = Collection(conn, "pumps", Words(), full_text=FullText(title="title"))
        pumps.create()
        store = ColbertVectorStore(pumps, metadata_mode=MetadataMode.NONE)
        store.add([node(name, "a filter", title=f"Pump {name}") for name in ("X7", "X8", "X9")])
        pumps.analyze()

        def query(mode: VectorStoreQueryMode, **options: Any) -> list[str]:
            found = store.query(VectorStoreQuery(query_str="filter x8", mode=mode, **options))
            return list(found.ids or [])

        assert query(VectorStoreQueryMode.TEXT_SEARCH)[0] == "X8"
        assert query(VectorStoreQueryMode.HYBRID, alpha=0.0, similarity_top_k=2)[0] == "X8"
        few = query(VectorStoreQueryMode.HYBRID, similarity_top_k=3, hybrid_top_k=1, sparse_top_k=3)
        assert few == ["X8"]
        retriever = ColbertRetriever(
            store,
            similarity_top_k=1,
            vector_store_query_mode=VectorStoreQueryMode.HYBRID,
            alpha=0.1,
        )
        assert ids(await retriever.aretrieve("filter x9")) == ["X9"]
        pumps.drop()


def test_hostile_nodes(store: ColbertVectorStore) -> None:
    with pytest.raises(TextError, match="text 2"):
        store.add([node("a", "moon"), node("b", "nul \0")])
    assert store.get_nodes() == []
    name = "x'; DROP TABLE t; --"
    store.add([node(name, "moon", name, **{name: name})])
    assert ids(store.get_nodes([name], where(name, "==", name))) == [name]
    store.delete(name)
    assert store.get_nodes() == []


def test_a_query_is_limited_to_ids(store: ColbertVectorStore) -> None:
    store.add(NODES)

    def found(**options: Any) -> set[str]:
        query = VectorStoreQuery(query_str="moon", similarity_top_k=9, **options)
        return set(store.query(query).ids or [])

    assert found(node_ids=["n1", "n3"]) == {"n1", "n3"}
    assert found(doc_ids=["d1"]) == {"n1", "n2"}
    assert found(doc_ids=["d1"], node_ids=["n1", "n3"]) == {"n1"}
    assert found(node_ids=[], doc_ids=[]) == {"n1", "n2", "n3"}
    assert found(filters=where("year", ">=", 2002), doc_ids=["d1"]) == {"n2"}


# Filters: LlamaIndex's own evaluation in Python is the reference.

TEXTS = st.sampled_from(["", "a", "b", "A", "ab", "a%", "a_b", "\\", "Ü"])
NUMBERS = st.integers(-2, 2) | st.sampled_from([0.5, 1.0, -1.5, 1e300])
SCALARS = TEXTS | NUMBERS
VALUES = st.none() | SCALARS | st.lists(TEXTS, max_size=3) | st.lists(NUMBERS, max_size=3)
ON_SCALARS = ["==", "!=", ">", "<", ">=", "<="]
ON_LISTS = ["in", "nin", "any", "all"]


@st.composite
def leaves(draw: st.DrawFn) -> MetadataFilters:
    value: Any
    kind = draw(st.sampled_from([*ON_SCALARS, *ON_LISTS, "contains", "text_match", "is_empty"]))
    if kind in ON_SCALARS or kind == "contains":
        value = draw(SCALARS)
    elif kind in ON_LISTS:
        value = draw(st.lists(TEXTS, max_size=3) | st.lists(st.integers(-2, 2), max_size=3))
    elif kind == "text_match":
        value = draw(TEXTS)
    else:
        value = None
    return where(draw(st.sampled_from(["x", "y"])), kind, value)


def evaluate(tree: MetadataFilters, metadata: dict[str, Any]) -> bool:
    """Return what LlamaIndex says of a filter. It refuses to compare values of two types."""
    items = []
    for item in tree.filters:
        if isinstance(item, MetadataFilters):
            items.append(evaluate(item, metadata))
            continue
        found = metadata.get(item.key)
        on_arrays = (FilterOperator.ANY, FilterOperator.ALL, FilterOperator.CONTAINS)
        if item.operator in on_arrays and not isinstance(found, list) and item.value != []:
            found = None  # there, strings contain parts
        if item.operator == FilterOperator.TEXT_MATCH:
            found = found if isinstance(found, str) else None
        try:
            one = MetadataFilters(filters=[item])
            items.append(build_metadata_filter_fn(lambda _: {item.key: found}, one)(""))  # noqa: B023
        except TypeError:
            items.append(False)
    if not items:
        return True
    every = {FilterCondition.AND: all(items), FilterCondition.OR: any(items)}
    return every.get(tree.condition or FilterCondition.AND, not any(items))


TREES = st.recursive(
    leaves(),
    lambda inner: st.builds(
        lambda items, condition: filters(*items, condition=condition),
        st.lists(inner, max_size=3),
        st.sampled_from(["and", "or", "not"]),
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def filtered(database: str) -> Iterator[ColbertVectorStore]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        collection = Collection(conn, "filtered", Words())
        collection.create()
        yield ColbertVectorStore(collection)


@example(tree=where("x", "all", []), x=None, y=None)
@example(tree=where("x", "all", []), x=1, y=None)
@given(tree=TREES, x=VALUES, y=VALUES)
def test_filters_are_those_of_llama_index(
    filtered: ColbertVectorStore, tree: MetadataFilters, x: Any, y: Any
) -> None:
    metadata = {key: value for key, value in (("x", x), ("y", y)) if value is not None}
    filtered.add([TextNode(id_="a", text="moon", metadata=metadata)])
    assert ids(filtered.get_nodes(filters=tree)) == (["a"] if evaluate(tree, metadata) else [])


@given(text=TEXTS, value=TEXTS)
def test_text_match_insensitive(filtered: ColbertVectorStore, text: str, value: str) -> None:
    assume(value.lower() == value.casefold())
    filtered.add([TextNode(id_="a", text="moon", metadata={"x": text})])
    found = filtered.get_nodes(filters=where("x", "text_match_insensitive", value))
    assert bool(found) == (value.lower() in text.lower())


@pytest.mark.parametrize(
    ("operator", "value", "message"),
    [
        ("in", "a", "expected a list for in, not 'a'"),
        ("text_match", 1, "expected a string for text_match, not 1"),
        (">", ["a"], "expected a number or a string for >"),
        ("==", "\0", "without a null character"),
    ],
)
def test_filters_that_are_refused(
    filtered: ColbertVectorStore, operator: str, value: Any, message: str
) -> None:
    with pytest.raises(FilterError, match=message):
        filtered.get_nodes(filters=where("x", operator, value))


def test_deep_filters(filtered: ColbertVectorStore) -> None:
    tree = where("x", "==", 1)
    for _ in range(3000):
        tree = MetadataFilters(filters=[tree])
    with pytest.raises(FilterError, match="at most 100 levels"):
        filtered.get_nodes(filters=tree)


# What LlamaIndex builds on a store.


async def test_the_retriever(store: ColbertVectorStore) -> None:
    store.add(NODES)
    retriever = ColbertRetriever(store, similarity_top_k=1)
    [found] = retriever.retrieve("sea and moon")
    assert (found.node.node_id, found.node.get_content()) == ("n2", "moon and sea")
    assert found.score is not None
    assert [hit.node.node_id for hit in await retriever.aretrieve("sea and moon")] == ["n2"]
    for options in (
        {"filters": where("year", "<", 2002)},
        {"node_ids": ["n1"]},
        {"doc_ids": ["d1"], "filters": where("tags", "contains", "bone")},
    ):
        [hit] = ColbertRetriever(store, **options).retrieve("sea and moon")
        assert hit.node.node_id == "n1"


async def test_an_index_on_the_store(store: ColbertVectorStore) -> None:
    """VectorStoreIndex demands an embedding model, whose vectors nothing reads."""
    documents = [
        Document(doc_id="sky", text="The moon moves the sea.", metadata={"kind": "science"}),
        Document(doc_id="music", text="A violin has a bow.", metadata={"kind": "art"}),
    ]
    index = VectorStoreIndex.from_documents(
        documents,
        storage_context=StorageContext.from_defaults(vector_store=store),
        embed_model=EMBEDDING,
    )
    again = VectorStoreIndex.from_vector_store(store, embed_model=EMBEDDING)
    for retriever in (
        index.as_retriever(similarity_top_k=1),
        again.as_retriever(similarity_top_k=1),
    ):
        [hit] = retriever.retrieve("which bow has a violin")
        assert hit.node.ref_doc_id == "music"
        [hit] = await retriever.aretrieve("which bow has a violin")
        assert hit.node.ref_doc_id == "music"
    [hit] = again.as_retriever(filters=where("kind", "==", "science")).retrieve("bow")
    assert hit.node.ref_doc_id == "sky"
    answer = again.as_query_engine(llm=MockLLM(), similarity_top_k=1).query("the moon")
    assert [source.node.ref_doc_id for source in answer.source_nodes] == ["sky"]
    index.delete_ref_doc("music")
    assert {found.ref_doc_id for found in store.get_nodes()} == {"sky"}
    await again.ainsert(Document(doc_id="food", text="Yeast makes bread rise."))
    assert {found.ref_doc_id for found in store.get_nodes()} == {"sky", "food"}


def test_a_pipeline_keeps_documents_in_step(store: ColbertVectorStore) -> None:
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(chunk_size=32, chunk_overlap=0), EMBEDDING],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
    )
    long = " ".join(f"Sentence number {number} is about the moon." for number in range(20))
    pipeline.run(documents=[Document(doc_id="d", text=long), Document(doc_id="e", text="A bow.")])
    before = store.get_nodes()
    assert len(before) > 3
    pipeline.run(documents=[Document(doc_id="d", text="Now short.")])
    texts = sorted(found.get_content() for found in store.get_nodes())
    assert texts == ["A bow.", "Now short."]


def test_a_real_encoder(database: str) -> None:
    encoder = OnnxEncoder.minilm(threads=1)
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        collection = Collection(conn, "facts", encoder)
        collection.create()
        store = ColbertVectorStore(collection, metadata_mode=MetadataMode.NONE)
        store.add(
            [
                node("gout", "Gout is treated with drugs that reduce uric acid in the blood."),
                node("tides", "The moon pulls at the sea and makes the tides."),
            ]
        )
        collection.index()
        [hit] = ColbertRetriever(store, similarity_top_k=1).retrieve("medicine for joint pain")
        assert hit.node.node_id == "gout"
        explanation = collection.explain("medicine for joint pain", "gout")
        assert explanation.score == pytest.approx(hit.score, abs=0.01)
