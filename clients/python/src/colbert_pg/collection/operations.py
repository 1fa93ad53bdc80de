"""The operations of a collection, as steps that a connection of either kind runs.

An operation is a generator. It yields calls, which may take long and run outside of a transaction,
transactions, which are generators of statements, and builds of an index. It receives what each
returned.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import psycopg

from .. import explain
from .._build import BuildProgress, Method
from .._names import identifier, quoted
from .._progress import Progress, shown
from ..encoders.protocol import Encoder, TextError, check_unicode
from ..multivector import MultiVector
from .ranking import RankedStatements
from .records import (
    AsyncRerank,
    Hit,
    IdExistsError,
    NoStatisticsError,
    OnConflict,
    Ranking,
    Record,
    StoredRanker,
    Term,
)
from .statements import OPCLASSES, Query, Statement, Statements, Where, checked_limit

S = TypeVar("S")
T = TypeVar("T")

BATCH = 256
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # in JSON
_CANDIDATES = 5  # per hit, for a reranker


@dataclass(frozen=True)
class Result:
    """The rows of a statement, and how many it returned or changed."""

    rows: list[tuple[Any, ...]]
    count: int


Transaction: TypeAlias = Generator[Statement, Result, T]


@dataclass(frozen=True)
class Call:
    """A call outside of a transaction, of an encoder or a reranker."""

    function: Callable[[], Any]


@dataclass(frozen=True)
class Build:
    """The creation of an index. arguments: those of create_index, other than the connection."""

    concurrently: bool
    arguments: dict[str, Any]


Operation: TypeAlias = Generator[Call | Build | Transaction[Any], Any, T]


class Run(Generic[S, T]):
    """A generator of steps that is being run. step: the current one. result: what it returned."""

    step: S
    result: T

    def __init__(self, generator: Generator[S, Any, T]) -> None:
        self._generator = generator

    def has_next(self, returned: Any) -> bool:
        """Pass the result of the current step, and return whether there is a next one."""
        return self._goes_on(partial(self._generator.send, returned))

    def has_next_after(self, error: Exception) -> bool:
        """Raise the error of the current step in the generator, which may catch it."""
        return self._goes_on(partial(self._generator.throw, error))

    def _goes_on(self, resume: Callable[[], S]) -> bool:
        try:
            self.step = resume()
        except StopIteration as done:
            self.result = done.value
            return False
        return True


def _call(function: Callable[..., T], *args: Any) -> Operation[T]:
    returned: T = yield Call(partial(function, *args))
    return returned


def _transaction(statements: Transaction[T]) -> Operation[T]:
    returned: T = yield statements
    return returned


def _alone(statement: Statement) -> Operation[Result]:
    """Run a statement in a transaction of its own."""

    def one() -> Transaction[Result]:
        return (yield statement)

    return (yield from _transaction(one()))


@dataclass
class _Row:
    """A row to be written. number: its place among the texts of the caller, from 1."""

    number: int
    id: str
    text: str
    metadata: str
    doc: MultiVector | None


class Operations:
    """The operations of a collection."""

    def __init__(self, statements: Statements, encoder: Encoder | None) -> None:
        self.statements, self.encoder = statements, encoder

    def create(self, dims: int | None, *, exist_ok: bool) -> Operation[None]:
        if dims is None:
            encoder = self._encoder("dims")
            dims = yield from _call(lambda: encoder.dims)
        yield from _transaction(self._create(dims, exist_ok=exist_ok))

    def _create(self, dims: int, *, exist_ok: bool) -> Transaction[None]:
        if exist_ok:
            yield self.statements.lock()
            found = yield self.statements.existing_columns()
            if found.rows:
                self.statements.check_columns([(row[0], row[1]) for row in found.rows], dims)
                return
        for statement in self.statements.create(dims):  # noqa: UP028 (a list takes no results)
            yield statement

    def add_full_text(self) -> Operation[None]:
        statements = self._ranked_statements().add_full_text()

        def add() -> Transaction[None]:
            for statement in statements:  # noqa: UP028 (a list takes no results)
                yield statement

        yield from _transaction(add())

    def analyze(self, sample: int | None) -> Operation[None]:
        yield from _alone(self._ranked_statements().analyze(sample))

    def drop(self) -> Operation[None]:
        yield from _transaction(self._drop())

    def _drop(self) -> Transaction[None]:
        if isinstance(self.statements, RankedStatements):
            found = yield self.statements.has_statistics()
            if found.rows:
                yield self.statements.drop_statistics()
        yield self.statements.drop()

    def add(
        self,
        texts: Sequence[str],
        *,
        ids: Sequence[str] | None,
        metadata: Sequence[Mapping[str, Any]] | None,
        docs: Sequence[Any] | None,
        on_conflict: OnConflict,
        batch_size: int,
        progress: Progress,
    ) -> Operation[list[str]]:
        if on_conflict not in ("error", "replace", "skip"):
            raise ValueError(f"expected on_conflict error, replace or skip, not {on_conflict!r}")
        if batch_size < 1:
            raise ValueError(f"expected batch_size of at least 1, not {batch_size}")
        rows = self._rows(texts, ids, metadata, docs)
        if on_conflict == "error":
            _check_different([row.id for row in rows])
        if docs is None:
            self._encoder("docs")
            if ids is not None and on_conflict != "replace":
                rows = yield from self._new(rows, on_conflict)
            yield from self._encode(rows, batch_size, progress)
        if not rows:
            return []
        return (yield from _transaction(self._write(rows, on_conflict)))

    def get(self, ids: Sequence[str]) -> Operation[list[Record]]:
        wanted = self.statements.ids(ids)
        found = yield from _alone(self.statements.get(wanted))
        records = {record.id: record for record in map(_record, found.rows)}
        return [records[key] for key in wanted if key in records]

    def delete(
        self, ids: Sequence[str] | None, where: Where | None, params: Sequence[Any]
    ) -> Operation[int]:
        wanted = None if ids is None else self.statements.ids(ids)
        return (yield from _alone(self.statements.delete(wanted, where, params))).count

    def count(self, where: Where | None, params: Sequence[Any]) -> Operation[int]:
        found = yield from _alone(self.statements.count(where, params))
        return int(found.rows[0][0])

    def filter(
        self, where: Where | None, params: Sequence[Any], limit: int | None
    ) -> Operation[list[Record]]:
        found = yield from _alone(self.statements.filter(where, params, limit))
        return [_record(row) for row in found.rows]

    def search(
        self,
        query: Any,
        limit: int,
        where: Where | None,
        params: Sequence[Any],
        *,
        doc: bool,
        rerank: AsyncRerank | None,
        candidates: int | None,
        ranking: Ranking = Ranking(),  # noqa: B008
    ) -> Operation[list[Hit]]:
        found = _candidates(query, limit, rerank, candidates)
        statement = self.statements.search(found, where, doc=doc, ranking=ranking)
        prepared = yield from self._query(query, ranking)
        params = self.statements.search_params(prepared, where, params)
        result = yield from self._with_statistics(Statement(statement, params))
        hits = [_hit(row, ranking) for row in result.rows]
        if rerank is None or not hits:
            return hits
        scores: Sequence[float] = yield Call(partial(rerank, query, hits))
        return _reranked(hits, scores)[:limit]

    def _query(self, query: Any, ranking: Ranking) -> Operation[Query]:
        """Return the query as the ranking needs it."""
        if ranking.mode != "maxsim" and not isinstance(query, str):
            raise TypeError(f"expected a query that is a text for mode {ranking.mode}")
        if ranking.mode == "text":
            return Query(ranking, text=_text(1, query))
        if not isinstance(query, str):
            return Query(ranking, MultiVector(query))
        text = query if ranking.mode == "maxsim" else _text(1, query)
        vector = yield from _call(self._encoder("a multivector").encode_query, query)
        return Query(ranking, vector, text)

    def _with_statistics(self, statement: Statement) -> Operation[Result]:
        """Run a statement. If it needs statistics that are missing, say so."""
        try:
            return (yield from _alone(statement))
        except psycopg.errors.UndefinedTable:
            if isinstance(self.statements, RankedStatements):
                missing = yield from _alone(self.statements.lacks_statistics())
                if missing.rows[0][0]:
                    raise NoStatisticsError(
                        self.statements.table_name, self.statements.statistics
                    ) from None
            raise

    def terms(self, query: str, hit: Record | str) -> Operation[list[Term]]:
        key = self._key(hit)
        statement = self._ranked_statements().terms(_text(1, query), key)
        found = yield from self._with_statistics(statement)
        if not found.rows:
            raise self._no_row(key)
        return [Term(*row) for row in found.rows if row[0] is not None]

    def index(
        self,
        method: Method,
        *,
        concurrently: bool,
        progress: BuildProgress,
        options: dict[str, Any],
    ) -> Operation[str]:
        arguments = {
            **options,
            "table": self.statements.table,
            "column": self.statements.columns.doc,
            "opclass": OPCLASSES[self.statements.similarity],
            "method": method,
            "concurrently": concurrently,
            "progress": progress,
        }
        name: str = yield Build(concurrently, arguments)
        return name

    def explain(self, query: str, hit: Record | str) -> Operation[explain.Explanation]:
        encoder = self._encoder("explain.explain()")
        doc: MultiVector | None
        if isinstance(hit, Hit) and hit.doc is not None:
            text, doc = hit.text, hit.doc
        else:
            key = self._key(hit)
            found = yield from _alone(self.statements.document(key))
            if not found.rows:
                raise self._no_row(key)
            text, doc = found.rows[0]
        return (yield from _call(explain.explain, encoder, query, text, doc))

    def _key(self, hit: Record | str) -> str:
        return self.statements.ids([hit.id if isinstance(hit, Record) else hit])[0]

    def _no_row(self, key: str) -> LookupError:
        return LookupError(f"table {self.statements.table_name} has no row of id {key!r}")

    def _ranked_statements(self) -> RankedStatements:
        if not isinstance(self.statements, RankedStatements):
            raise ValueError("expected a collection with full_text")
        return self.statements

    def _encoder(self, instead: str) -> Encoder:
        if self.encoder is None:
            raise ValueError(f"the collection has no encoder: pass one, or {instead}")
        return self.encoder

    def _rows(
        self,
        texts: Sequence[str],
        ids: Sequence[str] | None,
        metadata: Sequence[Mapping[str, Any]] | None,
        docs: Sequence[Any] | None,
    ) -> list[_Row]:
        """Check the arguments, and name the text of a wrong one."""
        if isinstance(texts, str):
            raise TypeError("expected a list of texts, not a text")
        if metadata is not None and self.statements.columns.metadata is None:
            raise ValueError(f"table {self.statements.table_name} has no column of metadata")
        for name, values in (("ids", ids), ("metadata", metadata), ("docs", docs)):
            if values is not None and len(values) != len(texts):
                raise ValueError(f"expected {len(texts)} {name}, one per text, not {len(values)}")
        names = self.statements.new_ids(len(texts)) if ids is None else self.statements.ids(ids)
        return [
            _Row(
                number,
                name,
                _text(number, text),
                _json(number, {} if metadata is None else metadata[number - 1]),
                None if docs is None else _doc(number, docs[number - 1]),
            )
            for number, (name, text) in enumerate(zip(names, texts, strict=True), 1)
        ]

    def _new(self, rows: list[_Row], on_conflict: OnConflict) -> Operation[list[_Row]]:
        """Return the rows whose ids are new, so that no other is encoded."""
        found = yield from _alone(self.statements.existing_ids([row.id for row in rows]))
        existing = {str(row[0]) for row in found.rows}
        self._refuse([row.id for row in rows if row.id in existing], on_conflict)
        return [row for row in rows if row.id not in existing]

    def _encode(self, rows: list[_Row], size: int, progress: Progress) -> Operation[None]:
        """Encode the texts of rows. Nothing is written before all are encoded."""
        encoder = self._encoder("docs")
        with shown(progress, len(rows), " texts") as show:
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                docs = yield from _call(_encode, encoder, part)
                for row, doc in zip(part, docs, strict=True):
                    row.doc = doc
                show(start + len(part))

    def _write(self, rows: list[_Row], on_conflict: OnConflict) -> Transaction[list[str]]:
        # All calls lock rows in the order of their ids, so that none waits for another in a circle.
        ordered = sorted(rows, key=lambda row: row.id)
        values = [(row.id, row.text, row.doc, row.metadata) for row in ordered]
        result = yield self.statements.insert(values, on_conflict)
        written = dict.fromkeys(str(row[0]) for row in result.rows)
        if len(result.rows) < len(rows):
            self._refuse([row.id for row in rows if row.id not in written], on_conflict)
        places = {key: place for place, key in enumerate(dict.fromkeys(row.id for row in rows))}
        return sorted(written, key=lambda key: places.get(key, len(rows)))

    def _refuse(self, existing: list[str], on_conflict: OnConflict) -> None:
        if existing and on_conflict == "error":
            raise IdExistsError(self.statements.table_name, existing)


def _check_different(ids: list[str]) -> None:
    [(most, times)] = Counter(ids).most_common(1) or [("", 0)]
    if times > 1:
        raise ValueError(f"expected different ids, and {most!r} comes twice")


def _text(number: int, text: str) -> str:
    """Refuse texts that a column of type text cannot hold."""
    if not isinstance(text, str):
        raise TypeError(f"text {number}: expected a string, not {type(text).__name__}")
    if "\0" in text:
        raise TextError(number, "expected no character NUL")
    check_unicode(number, text)
    return text


def _json(number: int, metadata: Mapping[str, Any]) -> str:
    """Return metadata as JSON. Refuse values that a column of type jsonb cannot hold."""
    try:
        text = json.dumps(dict(metadata), allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as e:
        raise TextError(number, f"metadata: {e}") from e
    if _NUL.search(text):
        raise TextError(number, "metadata: expected no character NUL")
    return text


def _doc(number: int, doc: Any) -> MultiVector | None:
    try:
        return None if doc is None else MultiVector(doc)
    except ValueError as e:
        raise ValueError(f"doc {number}: {e}") from None


def _encode(encoder: Encoder, rows: list[_Row]) -> list[MultiVector]:
    """Encode the texts of rows, and name the text of an error by the number of its row."""
    try:
        return encoder.encode_document([row.text for row in rows])
    except TextError as e:
        raise e.renumbered(rows[e.number - 1].number) from None


def _record(row: tuple[Any, ...]) -> Record:
    return Record(str(row[0]), row[1], row[2])


def _hit(row: tuple[Any, ...], ranking: Ranking) -> Hit:
    key, text, metadata, score, *rest = row
    sides = [rest.pop(0), rest.pop(0)] if ranking.mode == "hybrid" else [None, None]
    if score is None and isinstance(ranking.ranker, StoredRanker):
        name, table = ranking.ranker.name, quoted(identifier(ranking.ranker.table))
        raise LookupError(f"table {table} has no model {name!r}")
    return Hit(str(key), text, metadata, score, rest[0] if rest else None, *sides)


def _candidates(query: Any, limit: int, rerank: AsyncRerank | None, candidates: int | None) -> int:
    """Return how many hits the search is to find."""
    limit = checked_limit(limit)
    if rerank is None:
        if candidates is not None:
            raise ValueError("expected candidates only with rerank")
        return limit
    if not isinstance(query, str):
        raise TypeError("expected a query that is a text for rerank")
    if candidates is not None and candidates < limit:
        raise ValueError(f"expected at least {limit} candidates, the limit, not {candidates}")
    return _CANDIDATES * limit if candidates is None else candidates


def _reranked(hits: list[Hit], scores: Sequence[float]) -> list[Hit]:
    """Return the hits with new scores, the best first."""
    if isinstance(scores, Coroutine):
        scores.close()
        raise TypeError("expected scores of rerank: an AsyncCollection takes async functions")
    new = [float(score) for score in scores]
    if len(new) != len(hits):
        raise ValueError(f"expected {len(hits)} scores of rerank, not {len(new)}")
    if any(math.isnan(score) for score in new):
        raise ValueError("expected numbers as scores of rerank, not NaN")
    scored = [replace(hit, score=score) for hit, score in zip(hits, new, strict=True)]
    return sorted(scored, key=lambda hit: -hit.score)
