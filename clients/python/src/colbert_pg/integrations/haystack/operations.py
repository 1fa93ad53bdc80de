"""The operations of the document store, as steps that a connection of either kind runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from haystack import Document
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from psycopg import sql
from psycopg.types.json import Jsonb

from ..._names import escaped
from ...collection import Columns, IdExistsError
from ...collection.operations import BATCH, Operation, Operations, Result
from ...collection.operations import _alone as alone
from ...collection.operations import _call as call
from ...collection.records import AsyncRerank, ranking_of
from ...collection.statements import Statement
from ...encoders.protocol import Encoder, TextError
from ...multivector import MultiVector
from .._filters import is_constant, to_json
from .filters import Filters, parse, translate
from .rows import EXTRA, Row, check_meta, to_document, to_row

Condition = tuple[sql.Composable, Sequence[Any]]
_ALL: Condition = (sql.SQL("true"), ())

# Values as the text of their JSON, for 1, 1.0, "1" and true are four values.
_COUNT = (
    "SELECT count(DISTINCT v::text) FROM (SELECT nullif({meta} -> %s::text, 'null') v {rows}) t"
)
_FIELDS = """
    SELECT key, CASE jsonb_typeof(value)
        WHEN 'boolean' THEN 'boolean'
        WHEN 'number' THEN CASE WHEN value::text LIKE '%%.%%' THEN 'float' ELSE 'int' END
        ELSE 'keyword' END
    FROM (SELECT {meta} meta {rows}) t, jsonb_each(meta)
    WHERE jsonb_typeof(value) <> 'null' GROUP BY 1, 2
"""
_MIN_MAX = """
    SELECT min(number)::text, max(number)::text, min(string), max(string)
    FROM (SELECT {meta} -> %s::text v {rows}) t,
        LATERAL (SELECT CASE jsonb_typeof(v) WHEN 'number' THEN v::numeric END number,
            CASE jsonb_typeof(v) WHEN 'string' THEN v #>> '{{}}' END COLLATE "C" string) s
"""
_UNIQUE = """
    WITH found AS (
        SELECT DISTINCT v::text value, v #>> '{{}}' shown
        FROM (SELECT nullif({meta} -> %s::text, 'null') v {rows}) t
        WHERE v IS NOT NULL AND position(lower(%s::text) IN lower(v #>> '{{}}')) > 0
    )
    SELECT (SELECT count(*) FROM found), ARRAY(
        SELECT value FROM found ORDER BY shown COLLATE "C", value COLLATE "C" LIMIT %s OFFSET %s
    )
"""


class DocumentOperations:
    """The operations of a document store on a collection."""

    def __init__(self, collection: Operations, encoder: Encoder) -> None:
        self._do, self._encoder = collection, encoder

    @property
    def _columns(self) -> Columns:
        return self._do.statements.columns

    @property
    def _table(self) -> sql.SQL:
        return escaped(self._do.statements.table)

    def count(self, filters: Filters | None = None) -> Operation[int]:
        return (yield from self._do.count(*self._where(filters)))

    def filter(self, filters: Filters | None) -> Operation[list[Document]]:
        records = yield from self._do.filter(*self._where(filters), None)
        return [to_document(record) for record in records]

    def write(self, documents: Sequence[Document], policy: DuplicatePolicy) -> Operation[int]:
        rows = [to_row(document) for document in _checked(documents)]
        if policy != DuplicatePolicy.OVERWRITE:
            rows = yield from self._new(rows, skip=policy == DuplicatePolicy.SKIP)
        docs = yield from call(lambda: _encode(self._encoder, rows))
        replaces = policy == DuplicatePolicy.OVERWRITE
        skips = policy == DuplicatePolicy.SKIP
        try:
            written = yield from self._do.add(
                [row.text for row in rows],
                ids=[row.id for row in rows],
                metadata=[row.metadata for row in rows],
                docs=docs,
                on_conflict="replace" if replaces else "skip" if skips else "error",
                batch_size=BATCH,
                progress=False,
            )
        except IdExistsError as error:
            raise DuplicateDocumentError(str(error)) from error
        return len(rows) if replaces else len(written)

    def _new(self, rows: list[Row], *, skip: bool) -> Operation[list[Row]]:
        """Return the rows whose ids are new, so that no other is encoded."""
        found = yield from alone(self._do.statements.existing_ids([row.id for row in rows]))
        seen = {str(row[0]) for row in found.rows}
        new = []
        for row in rows:
            if row.id not in seen:
                new.append(row)
            elif not skip:
                raise DuplicateDocumentError(f"a document of id {row.id!r} exists already")
            seen.add(row.id)
        return new

    def delete(self, ids: Sequence[str]) -> Operation[None]:
        yield from self._do.delete(ids, None, ())

    def delete_by_filter(self, filters: Filters) -> Operation[int]:
        return (yield from self._do.delete(None, *self._required(filters)))

    def delete_all(self, *, recreate_index: bool) -> Operation[None]:
        if not recreate_index:
            yield from self._do.delete(None, *_ALL)
            return
        truncate = sql.SQL("TRUNCATE {}").format(self._table)
        yield from alone(Statement(truncate))

    def update_by_filter(self, filters: Filters, meta: dict[str, Any]) -> Operation[int]:
        check_meta(meta)
        to_json(meta)
        condition, params = self._required(filters)
        update = sql.SQL("UPDATE {0} SET {1} = {1} || %s WHERE {2}").format(
            self._table, self._metadata(), condition
        )
        return (yield from alone(Statement(update, [Jsonb(meta), *params]))).count

    def search(
        self,
        query: Any,
        filters: Filters | None,
        limit: int,
        *,
        rerank: AsyncRerank | None = None,
        candidates: int | None = None,
        **ranking: Any,
    ) -> Operation[list[Document]]:
        condition, params = self._where(filters)
        hits = yield from self._do.search(
            query,
            limit,
            condition,
            params,
            doc=False,
            rerank=rerank,
            candidates=candidates,
            ranking=ranking_of(**ranking),
        )
        return [to_document(hit, hit.score) for hit in hits]

    def count_unique(self, filters: Filters, fields: Sequence[str]) -> Operation[dict[str, int]]:
        counts = {}
        for field in map(_key, fields):
            found = yield from self._query(_COUNT, filters, [field])
            counts[field] = int(found.rows[0][0])
        return counts

    def fields(self) -> Operation[dict[str, dict[str, str]]]:
        found = yield from self._query(_FIELDS, None, [])
        types: dict[str, set[str]] = {}
        for name, kind in found.rows:
            types.setdefault(name, set()).add(kind)
        types.pop(EXTRA, None)
        return {name: {"type": _common(types[name])} for name in sorted(types)}

    def min_max(self, field: str) -> Operation[dict[str, Any]]:
        found = yield from self._query(_MIN_MAX, None, [_key(field)])
        low, high, first, last = found.rows[0]
        if low is not None and first is not None:  # numbers and strings are in no order
            return {"min": None, "max": None}
        if low is not None:
            return {"min": json.loads(low), "max": json.loads(high)}
        return {"min": first, "max": last}

    def unique_values(
        self, field: str, search_term: str | None, start: int, size: int, filters: Filters | None
    ) -> Operation[tuple[list[Any], int]]:
        if start < 0 or size < 0:
            raise ValueError(f"expected from_ and size of at least 0, not {start} and {size}")
        after = [search_term or "", size, start]
        found = yield from self._query(_UNIQUE, filters, [_key(field)], after)
        total, values = found.rows[0]
        return [json.loads(value) for value in values], total

    def _where(self, filters: Filters | None) -> tuple[sql.Composable | None, Sequence[Any]]:
        return translate(filters, self._columns) or (None, ())

    def _required(self, filters: Filters) -> Condition:
        """Return the condition of a change, which an empty filter must not extend to all rows."""
        found = translate(filters, self._columns)
        if found is None or is_constant(parse(filters)):
            raise FilterError("expected filters, not none")
        return found

    def _metadata(self) -> sql.SQL:
        assert self._columns.metadata is not None
        return escaped(sql.Identifier(self._columns.metadata))

    def _query(
        self,
        text: str,
        filters: Filters | None,
        before: Sequence[Any],
        after: Sequence[Any] = (),
    ) -> Operation[Result]:
        """Run a query on the rows that filters select, whose parameters are before and after."""
        condition, params = _some(self._where(filters))
        rows = sql.SQL("FROM {} WHERE {}").format(self._table, condition)
        query = sql.SQL(text).format(meta=self._metadata(), rows=rows)
        return (yield from alone(Statement(query, [*before, *params, *after])))


def _encode(encoder: Encoder, rows: Sequence[Row]) -> list[MultiVector | None]:
    """Encode the texts. A document without one has no multivector, and no search finds it."""
    places = [place for place, row in enumerate(rows) if row.text.strip()]
    docs: list[MultiVector | None] = [None] * len(rows)
    try:
        encoded = encoder.encode_document([rows[place].text for place in places])
    except TextError as error:
        raise error.renumbered(places[error.number - 1] + 1) from None
    for place, doc in zip(places, encoded, strict=True):
        docs[place] = doc
    return docs


def _some(condition: tuple[sql.Composable | None, Sequence[Any]]) -> Condition:
    """Return a condition, that of all rows if there is none."""
    return _ALL if condition[0] is None else (condition[0], condition[1])


def _checked(documents: Sequence[Document]) -> Sequence[Document]:
    if not isinstance(documents, Sequence) or not all(
        isinstance(document, Document) for document in documents
    ):
        raise ValueError("expected a list of documents")
    return documents


def _key(field: str) -> str:
    return field.removeprefix("meta.")


def _common(types: set[str]) -> str:
    """Return the type of a field whose values have some types."""
    if types == {"int", "float"}:
        return "float"
    return types.pop() if len(types) == 1 else "keyword"
