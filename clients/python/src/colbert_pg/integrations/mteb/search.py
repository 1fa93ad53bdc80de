"""A model for mteb.evaluate that searches in the database, by mteb's SearchProtocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mteb._create_dataloaders import create_dataloader
from mteb.models.model_meta import ModelMeta, ScoringFunction
from mteb.types import PromptType

from .backend import ColbertBackend


@dataclass(frozen=True)
class _Task:
    """What mteb tells its models about a task."""

    task_metadata: Any
    hf_split: str
    hf_subset: str
    num_proc: int | None


class ColbertSearch:
    """Encode the texts of a task by a model, and search them in the database.

    model: a late-interaction model of mteb (MultiVectorWrapper, its models of PyLate), or an
    Encoder of colbert_pg. name: of the model in mteb's results, for an Encoder.
    chunk: documents that are encoded before they are written.
    """

    def __init__(
        self,
        model: Any,
        backend: ColbertBackend,
        *,
        name: str = "colbert_pg/encoder",
        chunk: int = 2000,
    ) -> None:
        if chunk < 1:
            raise ValueError(f"expected chunk of at least 1, not {chunk}")
        self._model, self._backend, self._chunk = model, backend, chunk
        self._meta = getattr(model, "mteb_model_meta", None) or _meta(name)

    @property
    def mteb_model_meta(self) -> Any:
        """What mteb knows of the model."""
        return self._meta

    def index(
        self,
        corpus: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        encode_kwargs: Mapping[str, Any],
        num_proc: int | None = None,
        **_kwargs: Any,
    ) -> None:
        """Encode the documents and write them, in place of those of the task before."""
        task = _Task(task_metadata, hf_split, hf_subset, num_proc)
        self._backend.clear()
        for start in range(0, len(corpus), self._chunk):
            part = corpus.select(range(start, min(start + self._chunk, len(corpus))))
            embeddings = self._encode(part, task, PromptType.document, encode_kwargs)
            self._backend.add_documents(embeddings, part["id"])

    def search(
        self,
        queries: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        top_k: int,
        encode_kwargs: Mapping[str, Any],
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        num_proc: int | None = None,
        **_kwargs: Any,
    ) -> dict[str, dict[str, float]]:
        """Return the scores of the best documents for each query.

        top_ranked: the documents among which a query is searched.
        """
        task = _Task(task_metadata, hf_split, hf_subset, num_proc)
        embeddings = self._encode(queries, task, PromptType.query, encode_kwargs)
        ids = [str(key) for key in queries["id"]]
        ranked = None if top_ranked is None else [top_ranked.get(key, ()) for key in ids]
        found = self._backend.scores(embeddings, top_k, ranked)
        return {key: dict(scores) for key, scores in zip(ids, found, strict=True)}

    def _encode(
        self, dataset: Any, task: _Task, prompt_type: Any, encode_kwargs: Mapping[str, Any]
    ) -> list[Any]:
        loader = create_dataloader(
            dataset,
            task_metadata=task.task_metadata,
            prompt_type=prompt_type,
            batch_size=encode_kwargs.get("batch_size", 32),
            num_proc=task.num_proc,
        )
        if hasattr(self._model, "encode_document"):
            name = "encode_query" if prompt_type == PromptType.query else "encode_document"
            encode = getattr(self._model, name)
            return [tokens for batch in loader for tokens in encode(list(batch["text"]))]
        # mteb's own: _encode of models that return tokens, so that no wrapper takes them for others
        encode = getattr(self._model, "_encode", None) or self._model.encode
        embeddings = encode(
            loader,
            task_metadata=task.task_metadata,
            hf_split=task.hf_split,
            hf_subset=task.hf_subset,
            prompt_type=prompt_type,
            **encode_kwargs,
        )
        return list(embeddings)


def _meta(name: str) -> Any:
    """Return what mteb is to know of an Encoder."""
    return ModelMeta.create_empty(
        overwrites={
            "name": name,
            "model_type": ["late-interaction"],
            "similarity_fn_name": ScoringFunction.MAX_SIM,
        }
    )
