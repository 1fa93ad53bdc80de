"""A fake of mteb 2.26.24 with the same signatures: mteb itself needs torch.

tests/frameworks/test_signatures.py compares them with mteb's own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class PromptType(str, Enum):
    query = "query"
    document = "document"


class ScoringFunction(str, Enum):
    MAX_SIM = "MaxSim"


class ModelMeta(SimpleNamespace):
    @classmethod
    def create_empty(cls, overwrites: dict[str, Any] | None = None) -> ModelMeta:
        return cls(**{"name": "no_model_name/available", **(overwrites or {})})


class Dataset:
    """A fake of datasets.Dataset."""

    def __init__(self, rows: Sequence[dict[str, str]]) -> None:
        self.rows = list(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, str]]:
        return iter(self.rows)

    def __getitem__(self, column: str) -> list[str]:
        return [row[column] for row in self.rows]

    def select(self, indices: Iterable[int]) -> Dataset:
        return Dataset([self.rows[place] for place in indices])


def create_dataloader(
    dataset: Dataset,
    *,
    task_metadata: Any,
    prompt_type: PromptType | None = None,
    input_column: str | Sequence[str] | None = None,
    batch_size: int = 32,
    num_proc: int | None = None,
    **kwargs: Any,
) -> list[dict[str, list[str]]]:
    """Return batches. The text of a document begins with its title."""
    assert task_metadata is not None
    assert isinstance(prompt_type, PromptType)
    assert input_column is None
    assert num_proc in (None, 2)
    assert not kwargs
    texts = [f"{row.get('title', '')} {row['text']}".strip() for row in dataset]
    return [
        {"text": texts[start : start + batch_size]} for start in range(0, len(texts), batch_size)
    ]


MODULES: dict[str, dict[str, Any]] = {
    "mteb": {},
    "mteb._create_dataloaders": {"create_dataloader": create_dataloader},
    "mteb.models": {},
    "mteb.models.model_meta": {"ModelMeta": ModelMeta, "ScoringFunction": ScoringFunction},
    "mteb.types": {"PromptType": PromptType},
}


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let imports of mteb find this."""
    for name, members in MODULES.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
