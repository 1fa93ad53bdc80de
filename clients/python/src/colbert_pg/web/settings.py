"""What a search page shows, and its limits."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._names import Table
from ..collection import Columns, StoredRanker
from ..collection.ranking import RankedStatements
from ..collection.records import FullText
from .images import PageImages

MAX_QUESTION = 500  # characters


@dataclass(frozen=True)
class Settings:
    """The settings of a search page.

    table, columns: the texts and their multivectors. tsv_column: full text, for BM25F; the page
    does without if the table has no such column, or no statistics of it.
    ranker: the text of a rank_model, or a StoredRanker, for two stages.
    images: page images, whose patches are the tokens of the multivectors; the texts are captions.
    limit: hits per ranking. timeout: seconds per statement, and of waiting for a connection.
    connections: maximum connections. queries: questions that the pages suggest, and by which they
    measure an index. recall: that to be reached. tune_timeout: seconds of such a measurement.
    note: a line under the form, such as where the table comes from.
    """

    table: Table
    dsn: str = field(default="", repr=False)  # it may have a password
    columns: Columns = Columns(metadata=None)  # noqa: RUF009 (it is frozen)
    tsv_column: str = "tsv"
    ranker: str | StoredRanker | None = None
    images: PageImages | None = None
    limit: int = 10
    timeout: float = 5
    connections: int = 4
    queries: tuple[str, ...] = ()
    recall: float = 0.95
    tune_timeout: float = 120
    note: str = ""

    def __post_init__(self) -> None:
        for name, low, high in (("limit", 1, 100), ("connections", 1, 100)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"expected {name} from {low} to {high}")
        for name in ("timeout", "tune_timeout"):
            if not 0.001 <= getattr(self, name) <= 86400:
                raise ValueError(f"expected {name} from 0.001 to 86400 seconds")
        if not 0 < self.recall <= 1:
            raise ValueError(f"expected recall above 0 and at most 1, not {self.recall}")

    def statements(self) -> RankedStatements:
        """Return the statements on the table."""
        return RankedStatements(
            FullText(column=self.tsv_column),
            self.table,
            self.columns,
            element="float2",
            id_type="text",
            similarity="maxsim",
        )
