"""A retriever of LangChain, with reranking and scores."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from ...collection.records import Mode, Rerank, StoredRanker
from .store import ColbertVectorStore, Scored


class ColbertRetriever(BaseRetriever):
    """Returns the best documents of a store. Arguments of invoke replace those given here.

    filter: a condition on the metadata. rerank: a function that gets the query and hits and returns
    a score for each, such as a cross-encoder's. candidates: how many hits it gets.
    mode, weight, per_side, ranker: those of Collection.search, for a store with full_text.
    score_key: where in the metadata of a document its score goes. None: nowhere.
    """

    store: ColbertVectorStore
    k: int = 4
    filter: dict[str, Any] | None = None
    rerank: Rerank | None = None
    candidates: int | None = None
    mode: Mode | None = None
    weight: float | None = None
    per_side: int | None = None
    ranker: str | StoredRanker | None = None
    score_key: str | None = None

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002
        **kwargs: Any,
    ) -> list[Document]:
        found = self.store.similarity_search_with_score(query, **self._arguments(kwargs))
        return self._with_scores(found)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002
        **kwargs: Any,
    ) -> list[Document]:
        found = await self.store.asimilarity_search_with_score(query, **self._arguments(kwargs))
        return self._with_scores(found)

    def _arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        names = ("k", "filter", "rerank", "candidates", "mode", "weight", "per_side", "ranker")
        own = {name: getattr(self, name) for name in names}
        return own | given

    def _with_scores(self, found: Scored) -> list[Document]:
        for doc, score in found:
            if self.score_key is not None:
                doc.metadata[self.score_key] = score
        return [doc for doc, _ in found]
