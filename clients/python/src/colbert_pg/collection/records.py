"""Records of collections, and types of their arguments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..multivector import MultiVector

IdType: TypeAlias = Literal["text", "uuid", "bigint"]
OnConflict: TypeAlias = Literal["error", "replace", "skip"]
Similarity: TypeAlias = Literal["maxsim", "maxsim_cosine", "maxsim_l2"]


@dataclass(frozen=True)
class Columns:
    """The names of the columns. metadata: None if the table has no such column."""

    id: str = "id"
    text: str = "body"
    doc: str = "doc"
    metadata: str | None = "metadata"


@dataclass(frozen=True)
class Record:
    """A row of a collection."""

    id: str
    text: str
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Hit(Record):
    """A row that a search found. doc is None unless the search was asked for it."""

    score: float
    doc: MultiVector | None = None


Rerank: TypeAlias = Callable[[str, list[Hit]], Sequence[float]]
AsyncRerank: TypeAlias = Callable[[str, list[Hit]], Sequence[float] | Awaitable[Sequence[float]]]


class IdExistsError(ValueError):
    """Rows that cannot be added because others have their ids."""

    def __init__(self, table: str, ids: Sequence[str]) -> None:
        shown = ", ".join(repr(key) for key in ids[:5]) + (", ..." if len(ids) > 5 else "")
        super().__init__(f"table {table} has rows with these ids already: {shown}")
        self.ids = list(ids)
