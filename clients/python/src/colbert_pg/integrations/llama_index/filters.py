"""MetadataFilters of LlamaIndex as expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)

from .._filters import (
    MAX_DEPTH,
    And,
    Compares,
    Contains,
    Equals,
    Expression,
    Field,
    FilterError,
    Like,
    Not,
    OneOf,
    Or,
    Order,
)

_REF_DOC_ID = Field(("ref_doc_id",))
_ID = Field(column="id")

_ORDERS: dict[FilterOperator, Order] = {
    FilterOperator.GT: ">",
    FilterOperator.GTE: ">=",
    FilterOperator.LT: "<",
    FilterOperator.LTE: "<=",
}
_ON_VALUES: dict[FilterOperator, Callable[[Field, Any], Expression]] = {
    FilterOperator.EQ: Equals,
    FilterOperator.NE: lambda field, value: Not(Equals(field, value)),
    FilterOperator.CONTAINS: Contains,
    FilterOperator.IS_EMPTY: lambda field, _: Or([OneOf(field, [None, ""]), Equals(field, [])]),
}
_ON_LISTS: dict[FilterOperator, Callable[[Field, list[Any]], Expression]] = {
    FilterOperator.IN: OneOf,
    FilterOperator.NIN: lambda field, values: Not(OneOf(field, values)),
    FilterOperator.ANY: lambda field, values: Or([Contains(field, v) for v in values]),
    FilterOperator.ALL: lambda field, values: And(
        [Not(Equals(field, None)), *(Contains(field, v) for v in values)]
    ),
}


def of_query(query: VectorStoreQuery) -> Expression:
    """Return the condition of a query. An empty list of ids is none."""
    of_documents = [OneOf(_REF_DOC_ID, query.doc_ids)] if query.doc_ids else []
    return And([of_nodes(query.node_ids, query.filters), *of_documents])


def of_nodes(node_ids: list[str] | None, filters: MetadataFilters | None) -> Expression:
    """Return the condition for nodes that have one of the ids and pass the filters."""
    parts: list[Expression] = [OneOf(_ID, node_ids)] if node_ids else []
    if filters is not None:
        parts.append(translate(filters))
    return And(parts)


def of_document(ref_doc_id: str) -> Expression:
    return Equals(_REF_DOC_ID, ref_doc_id)


def translate(filters: MetadataFilters, depth: int = 0) -> Expression:
    """Translate filters. None at all are true, whatever their condition."""
    if depth == MAX_DEPTH:
        raise FilterError(f"expected at most {MAX_DEPTH} levels of filters")
    items = [
        translate(item, depth + 1) if isinstance(item, MetadataFilters) else _one(item)
        for item in filters.filters
    ]
    if not items or filters.condition in (None, FilterCondition.AND):
        return And(items)
    return Or(items) if filters.condition == FilterCondition.OR else Not(Or(items))


def _one(item: MetadataFilter) -> Expression:
    """Translate a filter. A missing field makes all false but != and nin."""
    field = Field((item.key,))
    if item.operator in _ON_LISTS:
        return _ON_LISTS[item.operator](field, _list(item))
    if item.operator in _ORDERS:
        return Compares(field, _ORDERS[item.operator], item.value)
    if item.operator in (FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE):
        ignore_case = item.operator == FilterOperator.TEXT_MATCH_INSENSITIVE
        return Like(field, _pattern(item), ignore_case=ignore_case)
    return _ON_VALUES[item.operator](field, item.value)


def _list(item: MetadataFilter) -> list[Any]:
    if not isinstance(item.value, list):
        raise FilterError(f"expected a list for {item.operator.value}, not {item.value!r}")
    return item.value


def _pattern(item: MetadataFilter) -> str:
    """Return the pattern of LIKE for strings that contain the value."""
    if not isinstance(item.value, str):
        raise FilterError(f"expected a string for {item.operator.value}, not {item.value!r}")
    return "%" + re.sub(r"([%_\\])", r"\\\1", item.value) + "%"
