"""A vector store of LangChain on a table of PostgreSQL."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy.typing as npt
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore
from psycopg import sql

from ..._names import Table
from ...collection import AsyncCollection, Collection, Columns, FullText, Hit, Record
from ...encoders.protocol import Encoder
from ...multivector import Element, MultiVector
from .._collections import Collections, Given
from .._filters import is_constant, where
from .._mmr import diversify
from .filters import Filter, parse

Scored = list[tuple[Document, float]]
Query = str | MultiVector | npt.ArrayLike


class ColbertVectorStore(VectorStore):
    """Documents in a table, searched by late interaction. It connects at its first use.

    encoder: in the place of LangChain's Embeddings, which make one vector per text.
    connection: a connection string of libpq, or a function that returns one.
    create: create the table if it is missing.
    element, similarity, columns and full_text are those of colbert_pg.collection.Collection.
    """

    def __init__(
        self,
        encoder: Encoder,
        connection: str | Callable[[], str],
        table: Table = "langchain_documents",
        *,
        columns: Columns = Columns(),  # noqa: B008
        element: Element = "float2",
        similarity: Any = "maxsim",
        full_text: FullText | None = None,
        create: bool = True,
    ) -> None:
        self.encoder = encoder
        self._columns = columns
        self._similarity = similarity
        self._collections: Collections | Given = Collections(
            connection,
            table,
            encoder,
            columns=columns,
            element=element,
            similarity=similarity,
            full_text=full_text,
            create=create,
        )

    @classmethod
    def of(
        cls, collection: Collection, async_collection: AsyncCollection | None = None
    ) -> ColbertVectorStore:
        """Return a store on collections that exist, such as on a pool of the application.

        Without an asynchronous one, asynchronous methods use the other one in a thread.
        """
        if collection.encoder is None:
            raise ValueError("expected a collection with an encoder")
        store = cls.__new__(cls)
        store.encoder = collection.encoder
        store._columns, store._similarity = collection.columns, collection.similarity
        store._collections = Given(collection, async_collection)
        return store

    def close(self) -> None:
        """Close the connections that threads use."""
        self._collections.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._collections.aclose()

    def create_index(self, method: Any = "colbert_hnsw", **options: Any) -> str:
        """Create an index for searches, and return its name. See Collection.index."""
        return self._collections.sync().index(method, **options)

    async def acreate_index(self, method: Any = "colbert_hnsw", **options: Any) -> str:
        """Do what create_index does, without blocking."""
        name: str = await (await self._collections.loop()).index(method, **options)
        return name

    def analyze(self, sample: int | None = None) -> None:
        """Make the statistics of full text, or refresh them. See Collection.analyze."""
        self._collections.sync().analyze(sample=sample)

    async def aanalyze(self, sample: int | None = None) -> None:
        """Do what analyze does, without blocking."""
        await (await self._collections.loop()).analyze(sample=sample)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Any,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> ColbertVectorStore:
        """Return a store, to which texts are added. embedding: an encoder of colbert_pg."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Any,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> ColbertVectorStore:
        """Do what from_texts does, without blocking."""
        store = cls(embedding, **kwargs)
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Encode and write texts, and return their ids. A text replaces the one of its id.

        ids: random UUIDs where they are missing. kwargs: batch_size and progress of Collection.add.
        """
        added = _Added(texts, metadatas, ids)
        self._collections.sync().add(**added.arguments, **kwargs)
        return added.ids

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Do what add_texts does, without blocking."""
        added = _Added(texts, metadatas, ids)
        await (await self._collections.loop()).add(**added.arguments, **kwargs)
        return added.ids

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents of ids, in their order. Unknown ids are left out."""
        return _documents(self._collections.sync().get(ids))

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Do what get_by_ids does, without blocking."""
        return _documents(await (await self._collections.loop()).get(ids))

    def delete(
        self, ids: list[str] | None = None, *, filter: Filter | None = None, **kwargs: Any
    ) -> bool | None:
        """Delete the documents of ids, those of a filter, or those of both; else all.

        A filter without a condition is an error.
        """
        _refuse(kwargs)
        self._collections.sync().delete(ids, **self._deleted(ids, filter))
        return True

    async def adelete(
        self, ids: list[str] | None = None, *, filter: Filter | None = None, **kwargs: Any
    ) -> bool | None:
        """Do what delete does, without blocking."""
        _refuse(kwargs)
        await (await self._collections.loop()).delete(ids, **self._deleted(ids, filter))
        return True

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the best documents for a text. For arguments see similarity_search_with_score."""
        return [doc for doc, _ in self.similarity_search_with_score(query, k, **kwargs)]

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Do what similarity_search does, without blocking."""
        return [doc for doc, _ in await self.asimilarity_search_with_score(query, k, **kwargs)]

    def similarity_search_by_vector(
        self, embedding: Any, k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the best documents for a multivector, or an array of (tokens, dims)."""
        return [doc for doc, _ in self.similarity_search_with_score(embedding, k, **kwargs)]

    async def asimilarity_search_by_vector(
        self, embedding: Any, k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Do what similarity_search_by_vector does, without blocking."""
        return [doc for doc, _ in await self.asimilarity_search_with_score(embedding, k, **kwargs)]

    def similarity_search_with_score(
        self, query: Query, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> Scored:
        """Return the best documents with their scores: those of maxsim, the sum over all tokens.

        filter: a condition on the metadata. kwargs: mode, weight, per_side, ranker, rerank and
        candidates of Collection.search.
        """
        return _scored(self._collections.sync().search(query, k, **self._where(filter), **kwargs))

    async def asimilarity_search_with_score(
        self, query: Query, k: int = 4, *, filter: Filter | None = None, **kwargs: Any
    ) -> Scored:
        """Do what similarity_search_with_score does, without blocking."""
        collection = await self._collections.loop()
        return _scored(await collection.search(query, k, **self._where(filter), **kwargs))

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Return documents that are relevant, and unlike each other, out of the fetch_k best."""
        vector = self.encoder.encode_query(query)
        return self.max_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, **kwargs
        )

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Do what max_marginal_relevance_search does, without blocking."""
        vector = await asyncio.to_thread(self.encoder.encode_query, query)
        return await self.amax_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, **kwargs
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Any,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,
    ) -> list[Document]:
        """Do what max_marginal_relevance_search does, for a multivector."""
        vector = MultiVector(embedding)
        found = self._collections.sync().search(vector, fetch_k, doc=True, **self._where(filter))
        return _diverse(vector, found, k, lambda_mult)

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: Any,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,
    ) -> list[Document]:
        """Do what max_marginal_relevance_search_by_vector does, without blocking."""
        vector = MultiVector(embedding)
        collection = await self._collections.loop()
        found = await collection.search(vector, fetch_k, doc=True, **self._where(filter))
        return await asyncio.to_thread(_diverse, vector, found, k, lambda_mult)

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> Scored:
        if _is_hybrid(kwargs):
            return _clipped(self.similarity_search_with_score(query, k, **kwargs))
        vector = self.encoder.encode_query(query)
        found = self.similarity_search_with_score(vector, k, **kwargs)
        return self._relevant(vector, found)

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> Scored:
        if _is_hybrid(kwargs):
            return _clipped(await self.asimilarity_search_with_score(query, k, **kwargs))
        vector = await asyncio.to_thread(self.encoder.encode_query, query)
        found = await self.asimilarity_search_with_score(vector, k, **kwargs)
        return self._relevant(vector, found)

    def _relevant(self, query: MultiVector, found: Scored) -> Scored:
        """Return scores from 0 to 1: the mean over the tokens of the query."""
        means = [(doc, score / len(query)) for doc, score in found]
        if self._similarity == "maxsim_l2":
            return [(doc, 1 / (1 + mean)) for doc, mean in means]
        return _clipped(means)

    def _where(self, filter: Filter | None) -> dict[str, Any]:
        """Return the arguments of a collection's method that stand for a filter."""
        if not filter:
            return {}
        condition, params = where(parse(filter), self._columns)
        return {"where": condition, "params": params}

    def _deleted(self, ids: list[str] | None, filter: Filter | None) -> dict[str, Any]:
        if filter is None:
            return {"where": sql.SQL("true")} if ids is None else {}
        if is_constant(parse(filter)):
            raise ValueError("expected a filter with a condition; delete() deletes all")
        return self._where(filter)


def _is_hybrid(options: dict[str, Any]) -> bool:
    """Whether the scores of a search are from 0 to 1 already."""
    mode, ranker = options.get("mode"), options.get("ranker")
    if mode == "text" or ranker is not None:
        raise ValueError("expected mode maxsim or hybrid: other scores have no bound")
    return bool(mode == "hybrid")


def _clipped(found: Scored) -> Scored:
    return [(doc, min(max(score, 0.0), 1.0)) for doc, score in found]


class _Added:
    """The arguments of Collection.add for texts of LangChain."""

    def __init__(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None,
        ids: Sequence[str | None] | None,
    ) -> None:
        found = list(texts)
        given = [None] * len(found) if ids is None else list(ids)
        self.ids = [str(uuid.uuid4()) if key is None else key for key in given]
        self.arguments: dict[str, Any] = {
            "texts": found,
            "ids": self.ids,
            "metadata": metadatas or None,
            "on_conflict": "replace",
        }


def _refuse(kwargs: dict[str, Any]) -> None:
    if kwargs:
        raise TypeError(f"expected no argument {', '.join(kwargs)}")


def _document(record: Record) -> Document:
    return Document(id=record.id, page_content=record.text, metadata=record.metadata)


def _documents(records: Sequence[Record]) -> list[Document]:
    return [_document(record) for record in records]


def _scored(hits: Sequence[Hit]) -> Scored:
    return [(_document(hit), hit.score) for hit in hits]


def _diverse(query: MultiVector, hits: Sequence[Hit], k: int, relevance: float) -> list[Document]:
    docs = [hit.doc for hit in hits if hit.doc is not None]
    return [_document(hits[place]) for place in diversify(query, docs, k, relevance)]
