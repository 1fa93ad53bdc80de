"""The methods of collections: their parameters, and the operation of each.

Collection runs the operations, AsyncCollection awaits them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar
from weakref import WeakKeyDictionary

import numpy.typing as npt
import psycopg
from psycopg import sql

from .._build import BuildProgress, Method
from .._names import Table
from .._progress import Progress
from ..encoders.protocol import Encoder
from ..explain import Explanation
from ..multivector import Element, MultiVector
from .operations import BATCH, Operation, Operations
from .ranking import RankedStatements
from .records import (
    AsyncRerank,
    Columns,
    FullText,
    Hit,
    IdType,
    Mode,
    OnConflict,
    Record,
    Similarity,
    StoredRanker,
    Term,
    ranking_of,
)
from .statements import Statements, Where

C = TypeVar("C")

_turns: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # by connection
_turns_lock = threading.Lock()


def _turn_of(conn: Any, make: Callable[[], Any]) -> Any:
    """Return the lock of a connection, which all collections on it share. A pool needs none."""
    if not isinstance(conn, psycopg.BaseConnection):
        return None
    with _turns_lock:
        return _turns.setdefault(conn, make())


class Base(Generic[C]):
    """A collection on a connection, or on a pool, of which each method takes a connection.

    encoder: needed wherever a text is encoded. element: of the column that create makes.
    similarity: the function that search orders by. Scores of maxsim_l2 are distances.
    full_text: the column of tsvector, for search by words.
    """

    _lock: ClassVar[Callable[[], Any]]

    def __init__(
        self,
        conn: C,
        table: Table,
        encoder: Encoder | None = None,
        *,
        columns: Columns = Columns(),  # noqa: B008
        element: Element = "float2",
        id_type: IdType = "text",
        similarity: Similarity = "maxsim",
        full_text: FullText | None = None,
    ) -> None:
        self._conn = conn
        self._turn = _turn_of(conn, type(self)._lock)
        make = Statements if full_text is None else partial(RankedStatements, full_text)
        statements = make(table, columns, element=element, id_type=id_type, similarity=similarity)
        self._do = Operations(statements, encoder)

    @property
    def table(self) -> sql.Identifier:
        """The name of the table."""
        return self._do.statements.table

    @property
    def columns(self) -> Columns:
        """The names of its columns."""
        return self._do.statements.columns

    @property
    def similarity(self) -> Similarity:
        """The function that search orders by."""
        return self._do.statements.similarity

    @property
    def encoder(self) -> Encoder | None:
        """The encoder of texts."""
        return self._do.encoder

    @property
    def full_text(self) -> FullText | None:
        """The column of tsvector."""
        statements = self._do.statements
        return statements.full_text if isinstance(statements, RankedStatements) else None

    def sql(
        self,
        limit: int = 10,
        *,
        where: Where | None = None,
        mode: Mode | None = None,
        weight: float | None = None,
        per_side: int | None = None,
        ranker: str | StoredRanker | None = None,
    ) -> str:
        """Return the statement of search.

        Its parameters are the multivector of the query, and those of where. With mode text they are
        those of where, and the text; with hybrid those of where, the multivector, the text and, if
        there is one, the text of the ranker, or its name in its table.
        """
        ranking = ranking_of(mode, weight, per_side, ranker)
        return self._do.statements.search(limit, where, doc=False, ranking=ranking).as_string(None)


def create(
    self: Base[Any], /, *, exist_ok: bool = True, dims: int | None = None
) -> Operation[None]:
    """Create the table, and an index on its metadata; with full_text, also the index of words.

    exist_ok: check that a table of this name has the columns and dims, and leave it as it is.
    dims: those of the encoder by default.
    """
    return self._do.create(dims, exist_ok=exist_ok)


def add_full_text(self: Base[Any], /) -> Operation[None]:
    """Add the column of full_text, and its index, to a table that exists. It is rewritten."""
    return self._do.add_full_text()


def analyze(self: Base[Any], /, *, sample: int | None = None) -> Operation[None]:
    """Make the statistics of full text that search needs, or refresh them.

    Only the owner of the table may. sample: read about this many rows only.
    """
    return self._do.analyze(sample)


def drop(self: Base[Any], /) -> Operation[None]:
    """Drop the table if it exists, and its statistics of full text."""
    return self._do.drop()


def add(
    self: Base[Any],
    /,
    texts: Sequence[str],
    *,
    ids: Sequence[str] | None = None,
    metadata: Sequence[Mapping[str, Any]] | None = None,
    docs: Sequence[MultiVector | npt.ArrayLike | None] | None = None,
    on_conflict: OnConflict = "error",
    batch_size: int = BATCH,
    progress: Progress = False,
) -> Operation[list[str]]:
    """Encode texts and write them, and return the ids of the rows written, in order.

    All texts are encoded before the first is written, batch_size at a time.
    ids: random UUIDs by default. docs: their multivectors; then nothing is encoded. No search by
    meaning finds a text whose doc is None.
    on_conflict: the treatment of a text whose id exists: IdExistsError, it replaces the row, or it
    is skipped.
    progress: True for a bar of tqdm, or a function that gets the number of texts encoded and the
    total.
    """
    return self._do.add(
        texts,
        ids=ids,
        metadata=metadata,
        docs=docs,
        on_conflict=on_conflict,
        batch_size=batch_size,
        progress=progress,
    )


def get(self: Base[Any], /, ids: Sequence[str]) -> Operation[list[Record]]:
    """Return the rows of ids, in their order. Unknown ids are left out."""
    return self._do.get(ids)


def delete(
    self: Base[Any],
    /,
    ids: Sequence[str] | None = None,
    *,
    where: Where | None = None,
    params: Sequence[Any] = (),
) -> Operation[int]:
    """Delete the rows of ids, those that a condition selects, or those of both.

    Return how many were deleted.
    """
    return self._do.delete(ids, where, params)


def count(
    self: Base[Any], /, *, where: Where | None = None, params: Sequence[Any] = ()
) -> Operation[int]:
    """Return the number of rows that a condition selects, all by default."""
    return self._do.count(where, params)


def filter(  # noqa: A001
    self: Base[Any],
    /,
    *,
    where: Where | None = None,
    params: Sequence[Any] = (),
    limit: int | None = None,
) -> Operation[list[Record]]:
    """Return the rows that a condition selects, ordered by id."""
    return self._do.filter(where, params, limit)


def index(
    self: Base[Any],
    /,
    method: Method = "colbert_hnsw",
    *,
    concurrently: bool = False,
    progress: BuildProgress = False,
    **options: Any,
) -> Operation[str]:
    """Create an index for search, and return its name. See colbert_pg.load.create_index."""
    return self._do.index(method, concurrently=concurrently, progress=progress, options=options)


def search(
    self: Base[Any],
    /,
    query: str | MultiVector | npt.ArrayLike,
    limit: int = 10,
    *,
    mode: Mode | None = None,
    weight: float | None = None,
    per_side: int | None = None,
    ranker: str | StoredRanker | None = None,
    where: Where | None = None,
    params: Sequence[Any] = (),
    doc: bool = False,
    rerank: AsyncRerank | None = None,
    candidates: int | None = None,
) -> Operation[list[Hit]]:
    """Return the best rows for a text or a multivector, among those that a condition selects.

    mode: "maxsim" ranks by meaning, "text" by words, and "hybrid" by both. The latter two need a
    collection with full_text, and its statistics: see analyze.
    weight: that of MaxSim in hybrid, from 0 to 1, .8 by default.
    per_side: rows that hybrid finds by MaxSim, and by words, before it ranks them: 50 by default,
    with titles 20, and at least limit.
    ranker: ranks for hybrid instead of the weight: the text of a rank_model, such as that of
    colbert_pg.rank.Ranker.export, or a StoredRanker.
    where: a mapping that the metadata contains, or SQL with %s for each of params.
    doc: return the multivectors, too.
    rerank: a function that gets the query and hits, and returns a score for each, such as a
    cross-encoder's. candidates: how many hits it gets, five times limit by default.
    """
    return self._do.search(
        query,
        limit,
        where,
        params,
        doc=doc,
        rerank=rerank,
        candidates=candidates,
        ranking=ranking_of(mode, weight, per_side, ranker),
    )


def explain(self: Base[Any], /, query: str, hit: Record | str) -> Operation[Explanation]:
    """Explain the score maxsim(doc, query) of a hit, or of the row of an id, by words."""
    return self._do.explain(query, hit)


def terms(self: Base[Any], /, query: str, hit: Record | str) -> Operation[list[Term]]:
    """Return the words of a query that a hit has, each with its part of the score bm25f."""
    return self._do.terms(query, hit)
