"""A retriever of Haystack."""

from __future__ import annotations

from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy, apply_filter_policy

from ...collection.records import Mode
from .filters import Filters
from .store import ColbertDocumentStore


@component
class ColbertRetriever:
    """Returns the best documents of a ColbertDocumentStore, with their scores.

    filter_policy: how the filters of a run go with those given here.
    mode, weight, per_side: those of Collection.search, for a store with full_text.
    """

    def __init__(
        self,
        document_store: ColbertDocumentStore,
        *,
        filters: Filters | None = None,
        top_k: int = 10,
        filter_policy: FilterPolicy = FilterPolicy.REPLACE,
        mode: Mode = "maxsim",
        weight: float | None = None,
        per_side: int | None = None,
    ) -> None:
        if not isinstance(document_store, ColbertDocumentStore):
            raise ValueError(
                f"expected a ColbertDocumentStore, not {type(document_store).__name__}"
            )
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k
        self.filter_policy = filter_policy
        self.mode: Mode = mode
        self.weight = weight
        self.per_side = per_side

    def to_dict(self) -> dict[str, Any]:
        """Return what from_dict makes the retriever of again."""
        data: dict[str, Any] = default_to_dict(
            self,
            document_store=self.document_store,
            filters=self.filters,
            top_k=self.top_k,
            filter_policy=self.filter_policy.value,
            mode=self.mode,
            weight=self.weight,
            per_side=self.per_side,
        )
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ColbertRetriever:
        """Return the retriever that to_dict stands for."""
        parameters = dict(data.get("init_parameters", {}))
        if "filter_policy" in parameters:
            parameters["filter_policy"] = FilterPolicy.from_str(parameters["filter_policy"])
        retriever: ColbertRetriever = default_from_dict(
            cls, {**data, "init_parameters": parameters}
        )
        return retriever

    def warm_up(self) -> None:
        """Load the encoder."""
        self.document_store.warm_up()

    def close(self) -> None:
        """Close the store's connections that threads use."""
        self.document_store.close()

    async def close_async(self) -> None:
        """Close the store's connections of the running event loop."""
        await self.document_store.close_async()

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str | list[list[float]],
        filters: Filters | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Return the best documents for a text, or for a multivector."""
        return {"documents": self.document_store.retrieve(query, **self._options(filters, top_k))}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query: str | list[list[float]],
        filters: Filters | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Do what run does, without blocking."""
        found = await self.document_store.retrieve_async(query, **self._options(filters, top_k))
        return {"documents": found}

    def _options(self, filters: Filters | None, top_k: int | None) -> dict[str, Any]:
        return {
            "filters": apply_filter_policy(self.filter_policy, self.filters, filters),
            "top_k": self.top_k if top_k is None else top_k,
            "mode": self.mode,
            "weight": self.weight,
            "per_side": self.per_side,
        }
