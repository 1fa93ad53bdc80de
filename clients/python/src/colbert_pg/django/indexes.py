"""Indexes for searches, with their options."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.postgres.indexes import PostgresIndex


class _ColbertIndex(PostgresIndex):
    options: ClassVar[tuple[str, ...]]

    def __init__(self, *expressions: Any, **kwargs: Any) -> None:
        """Take the options of the access method beside the arguments of any index."""
        self.chosen = {name: kwargs.pop(name) for name in self.options if name in kwargs}
        super().__init__(*expressions, **kwargs)

    def deconstruct(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, **self.chosen}

    def get_with_params(self) -> list[str]:
        # Quoted, for an unquoted bit is the name of a type.
        return [f"{name} = '{value}'" for name, value in self.chosen.items()]


class ColbertHnswIndex(_ColbertIndex):
    """An index by colbert_hnsw. opclasses=["multivector_cosine_ops"] serves MaxSimCosine."""

    suffix = "colbert_hnsw"
    options = (
        "quantizer",
        "pq_m",
        "tokens_per_node",
        "m",
        "ef_construction",
        "probes",
        "ef_search",
        "candidates",
        "rerank",
    )


class ColbertIvfIndex(_ColbertIndex):
    """An index by colbert_ivf."""

    suffix = "colbert_ivf"
    options = ("quantizer", "pq_m", "lists", "probes", "candidates", "rerank")
