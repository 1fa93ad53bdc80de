"""Records of collections, and types of their arguments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from .._names import Table
from ..multivector import MultiVector

IdType: TypeAlias = Literal["text", "uuid", "bigint"]
OnConflict: TypeAlias = Literal["error", "replace", "skip"]
Similarity: TypeAlias = Literal["maxsim", "maxsim_cosine", "maxsim_l2"]
Mode: TypeAlias = Literal["maxsim", "text", "hybrid"]


@dataclass(frozen=True)
class Columns:
    """The names of the columns. metadata: None if the table has no such column."""

    id: str = "id"
    text: str = "body"
    doc: str = "doc"
    metadata: str | None = "metadata"


@dataclass(frozen=True)
class FullText:
    """A column of tsvector that follows the text, for search by words.

    config: a text search configuration. title: a key of the metadata, whose value ranks as the
    section A of the text. statistics: the table that analyze makes; TABLE_COLUMN_bm25 by default.
    """

    config: str = "english"
    title: str | None = None
    column: str = "tsv"
    statistics: Table | None = None


@dataclass(frozen=True)
class StoredRanker:
    """A rank_model in a table: the value of the column model in the row whose key is name."""

    name: str
    table: Table = "rankers"
    key: str = "name"
    model: str = "model"


@dataclass(frozen=True)
class Ranking:
    """How a search ranks: the arguments of search of these names, checked by ranking_of."""

    mode: Mode = "maxsim"
    weight: float | None = None
    per_side: int | None = None
    ranker: str | StoredRanker | None = None


def ranking_of(
    mode: Mode | None = None,
    weight: float | None = None,
    per_side: int | None = None,
    ranker: str | StoredRanker | None = None,
) -> Ranking:
    """Return arguments of search, with the mode that they ask for."""
    if mode is None:
        mode = "maxsim" if ranker is None else "hybrid"
    check_choice("mode", mode, Mode)
    given = {"weight": weight, "per_side": per_side, "ranker": ranker}
    for name, value in given.items():
        if value is not None and mode != "hybrid":
            raise ValueError(f"expected {name} only with mode hybrid, not {mode}")
    if weight is not None and ranker is not None:
        raise ValueError("expected weight or ranker, not both")
    if weight is not None and not 0 <= weight <= 1:
        raise ValueError(f"expected weight from 0 to 1, not {weight}")
    if ranker is not None and not isinstance(ranker, str | StoredRanker):
        raise TypeError(
            f"expected ranker to be a text or a StoredRanker, not {type(ranker).__name__}"
        )
    if per_side is not None and per_side < 1:
        raise ValueError(f"expected per_side of at least 1, not {per_side}")
    return Ranking(mode, weight, per_side, ranker)


def check_choice(name: str, value: str, choices: Any) -> None:
    allowed = get_args(choices)
    if value not in allowed:
        raise ValueError(f"expected {name} {', '.join(allowed)}, not {value!r}")


@dataclass(frozen=True)
class Record:
    """A row of a collection."""

    id: str
    text: str
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Hit(Record):
    """A row that a search found.

    doc: None unless the search was asked for it. maxsim, bm25f: both scores, if mode is hybrid.
    """

    score: float
    doc: MultiVector | None = None
    maxsim: float | None = None
    bm25f: float | None = None


@dataclass(frozen=True)
class Term:
    """A word of a query, and its part of the score bm25f of a row, from one section of its text."""

    term: str
    section: str
    frequency: int
    contribution: float


Rerank: TypeAlias = Callable[[str, list[Hit]], Sequence[float]]
AsyncRerank: TypeAlias = Callable[[str, list[Hit]], Sequence[float] | Awaitable[Sequence[float]]]


class NoStatisticsError(LookupError):
    """A search by words in a table without full-text statistics."""

    def __init__(self, table: str, statistics: str) -> None:
        super().__init__(
            f"table {table} has no statistics {statistics}: call analyze(), or bm25_analyze in SQL"
        )


class IdExistsError(ValueError):
    """Rows that cannot be added because others have their ids."""

    def __init__(self, table: str, ids: Sequence[str]) -> None:
        shown = ", ".join(repr(key) for key in ids[:5]) + (", ..." if len(ids) > 5 else "")
        super().__init__(f"table {table} has rows with these ids already: {shown}")
        self.ids = list(ids)
