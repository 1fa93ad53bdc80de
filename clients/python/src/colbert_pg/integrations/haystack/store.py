"""A document store of Haystack on a table of PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from haystack import Document, default_from_dict, default_to_dict
from haystack.core.errors import SerializationError
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils import Secret

from ...collection import Columns, FullText
from ...collection.operations import Operation
from ...encoders import make_encoder
from ...encoders.protocol import Encoder
from ...multivector import Element
from .._collections import Collections
from .filters import Filters
from .operations import DocumentOperations

T = TypeVar("T")
Values = tuple[list[Any], int]


class ColbertDocumentStore:
    """Documents in a table, encoded as they are written. It connects at its first use.

    encoder: a specification of colbert_pg.encoders.make_encoder, such as "minilm", which is saved
    with a pipeline; or an encoder, which cannot be saved.
    connection_string: that of libpq. create_table: create the table if it is missing.
    element, similarity, columns and full_text are those of colbert_pg.collection.Collection.
    """

    def __init__(
        self,
        *,
        encoder: Encoder | str,
        connection_string: Secret = Secret.from_env_var("PG_CONN_STR"),  # noqa: B008
        table: str = "haystack_documents",
        element: Element = "float2",
        similarity: Any = "maxsim",
        columns: Columns = Columns(),  # noqa: B008
        full_text: FullText | None = None,
        create_table: bool = True,
    ) -> None:
        if columns.metadata is None:
            raise ValueError("expected a column of metadata")
        self.encoder = encoder
        self.connection_string = connection_string
        self.table = table
        self.element = element
        self.similarity = similarity
        self.columns = columns
        self.full_text = full_text
        self.create_table = create_table
        self._lock = threading.Lock()
        self._opened: tuple[Collections, Encoder] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what from_dict makes the store of again."""
        if not isinstance(self.encoder, str):
            raise SerializationError(
                "expected an encoder by its specification, such as 'minilm', "
                f"not {type(self.encoder).__name__}"
            )
        data: dict[str, Any] = default_to_dict(
            self,
            encoder=self.encoder,
            connection_string=self.connection_string,
            table=self.table,
            element=self.element,
            similarity=self.similarity,
            columns=asdict(self.columns),
            full_text=None if self.full_text is None else asdict(self.full_text),
            create_table=self.create_table,
        )
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ColbertDocumentStore:
        """Return the store that to_dict stands for."""
        parameters = dict(data.get("init_parameters", {}))
        if "columns" in parameters:
            parameters["columns"] = Columns(**parameters["columns"])
        if parameters.get("full_text") is not None:
            parameters["full_text"] = FullText(**parameters["full_text"])
        store: ColbertDocumentStore = default_from_dict(
            cls, {**data, "init_parameters": parameters}
        )
        return store

    def warm_up(self) -> None:
        """Load the encoder."""
        self._open()

    def close(self) -> None:
        """Close the connections that threads use."""
        if self._opened is not None:
            self._opened[0].close()

    async def close_async(self) -> None:
        """Close the connections of the running event loop."""
        if self._opened is not None:
            await self._opened[0].aclose()

    def create_index(self, method: Any = "colbert_hnsw", **options: Any) -> str:
        """Create an index for searches, and return its name. See Collection.index."""
        return self._open()[0].sync().index(method, **options)

    async def create_index_async(self, method: Any = "colbert_hnsw", **options: Any) -> str:
        """Do what create_index does, without blocking."""
        collections, _ = await asyncio.to_thread(self._open)
        name: str = await (await collections.loop()).index(method, **options)
        return name

    def analyze(self, sample: int | None = None) -> None:
        """Make the statistics of full text, or refresh them. See Collection.analyze."""
        self._open()[0].sync().analyze(sample=sample)

    async def analyze_async(self, sample: int | None = None) -> None:
        """Do what analyze does, without blocking."""
        collections, _ = await asyncio.to_thread(self._open)
        await (await collections.loop()).analyze(sample=sample)

    def count_documents(self) -> int:
        """Return the number of documents."""
        return self._run(lambda do: do.count())

    async def count_documents_async(self) -> int:
        """Return the number of documents."""
        return await self._run_async(lambda do: do.count())

    def filter_documents(self, filters: Filters | None = None) -> list[Document]:
        """Return the documents that filters select, ordered by id."""
        return self._run(lambda do: do.filter(filters))

    async def filter_documents_async(self, filters: Filters | None = None) -> list[Document]:
        """Return the documents that filters select, ordered by id."""
        return await self._run_async(lambda do: do.filter(filters))

    def write_documents(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """Encode and write documents, all or none, and return how many were written.

        policy: NONE is FAIL. A document without content is stored, but no search finds it.
        """
        return self._run(lambda do: do.write(documents, policy))

    async def write_documents_async(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """Do what write_documents does, without blocking."""
        return await self._run_async(lambda do: do.write(documents, policy))

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete the documents of ids. Unknown ids are ignored."""
        self._run(lambda do: do.delete(document_ids))

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        """Delete the documents of ids. Unknown ids are ignored."""
        await self._run_async(lambda do: do.delete(document_ids))

    def delete_all_documents(self, recreate_index: bool = False) -> None:
        """Delete all documents. recreate_index: by TRUNCATE, which empties indexes as well."""
        self._run(lambda do: do.delete_all(recreate_index=recreate_index))

    async def delete_all_documents_async(self, recreate_index: bool = False) -> None:
        """Do what delete_all_documents does, without blocking."""
        await self._run_async(lambda do: do.delete_all(recreate_index=recreate_index))

    def delete_by_filter(self, filters: Filters) -> int:
        """Delete the documents that filters select, and return how many."""
        return self._run(lambda do: do.delete_by_filter(filters))

    async def delete_by_filter_async(self, filters: Filters) -> int:
        """Delete the documents that filters select, and return how many."""
        return await self._run_async(lambda do: do.delete_by_filter(filters))

    def update_by_filter(self, filters: Filters, meta: dict[str, Any]) -> int:
        """Add meta to that of the documents that filters select, and return how many."""
        return self._run(lambda do: do.update_by_filter(filters, meta))

    async def update_by_filter_async(self, filters: Filters, meta: dict[str, Any]) -> int:
        """Add meta to that of the documents that filters select, and return how many."""
        return await self._run_async(lambda do: do.update_by_filter(filters, meta))

    def count_documents_by_filter(self, filters: Filters) -> int:
        """Return the number of documents that filters select."""
        return self._run(lambda do: do.count(filters))

    async def count_documents_by_filter_async(self, filters: Filters) -> int:
        """Return the number of documents that filters select."""
        return await self._run_async(lambda do: do.count(filters))

    def count_unique_metadata_by_filter(
        self, filters: Filters, metadata_fields: list[str]
    ) -> dict[str, int]:
        """Return how many values each field has in the documents that filters select."""
        return self._run(lambda do: do.count_unique(filters, metadata_fields))

    async def count_unique_metadata_by_filter_async(
        self, filters: Filters, metadata_fields: list[str]
    ) -> dict[str, int]:
        """Return how many values each field has in the documents that filters select."""
        return await self._run_async(lambda do: do.count_unique(filters, metadata_fields))

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """Return the type of each field: keyword, int, float or boolean."""
        return self._run(lambda do: do.fields())

    async def get_metadata_fields_info_async(self) -> dict[str, dict[str, str]]:
        """Return the type of each field: keyword, int, float or boolean."""
        return await self._run_async(lambda do: do.fields())

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """Return the least and the greatest value of a field of numbers, or of strings."""
        return self._run(lambda do: do.min_max(metadata_field))

    async def get_metadata_field_min_max_async(self, metadata_field: str) -> dict[str, Any]:
        """Return the least and the greatest value of a field of numbers, or of strings."""
        return await self._run_async(lambda do: do.min_max(metadata_field))

    def get_metadata_field_unique_values(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int = 10,
        filters: Filters | None = None,
    ) -> Values:
        """Return some of the values of a field, ordered as text, and how many there are.

        search_term: of values that contain it, in upper or lower case.
        """
        return self._run(
            lambda do: do.unique_values(metadata_field, search_term, from_, size, filters)
        )

    async def get_metadata_field_unique_values_async(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int = 10,
        filters: Filters | None = None,
    ) -> Values:
        """Do what get_metadata_field_unique_values does, without blocking."""
        return await self._run_async(
            lambda do: do.unique_values(metadata_field, search_term, from_, size, filters)
        )

    def retrieve(
        self, query: Any, filters: Filters | None = None, top_k: int = 10, **options: Any
    ) -> list[Document]:
        """Return the best documents for a text or a multivector, with their scores.

        options: mode, weight, per_side, ranker, rerank and candidates of Collection.search.
        """
        return self._run(lambda do: do.search(query, filters, top_k, **options))

    async def retrieve_async(
        self, query: Any, filters: Filters | None = None, top_k: int = 10, **options: Any
    ) -> list[Document]:
        """Do what retrieve does, without blocking."""
        return await self._run_async(lambda do: do.search(query, filters, top_k, **options))

    def _run(self, operation: Callable[[DocumentOperations], Operation[T]]) -> T:
        collections, encoder = self._open()
        collection = collections.sync()
        return collection._run(operation(DocumentOperations(collection._do, encoder)))

    async def _run_async(self, operation: Callable[[DocumentOperations], Operation[T]]) -> T:
        collections, encoder = await asyncio.to_thread(self._open)
        collection = await collections.loop()
        return await collection._run(operation(DocumentOperations(collection._do, encoder)))

    def _open(self) -> tuple[Collections, Encoder]:
        with self._lock:
            if self._opened is None:
                given = self.encoder
                encoder = make_encoder(given) if isinstance(given, str) else given
                self._opened = (self._collections(encoder), encoder)
            return self._opened

    def _collections(self, encoder: Encoder) -> Collections:
        return Collections(
            self._conninfo,
            self.table,
            encoder,
            create=self.create_table,
            columns=self.columns,
            full_text=self.full_text,
            element=self.element,
            similarity=self.similarity,
        )

    def _conninfo(self) -> str:
        found = self.connection_string.resolve_value()
        return "" if found is None else str(found)
