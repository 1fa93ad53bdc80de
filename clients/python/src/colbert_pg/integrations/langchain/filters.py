"""The filters of LangChain: mappings of fields to values, or to operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from .._filters import (
    And,
    Compares,
    Equals,
    Exists,
    Expression,
    Field,
    FilterError,
    Like,
    Not,
    OneOf,
    Or,
    check_depth,
)

Filter: TypeAlias = Mapping[str, Any]


def parse(filter: Filter) -> Expression:
    """Return the condition of a filter."""
    check_depth(filter)
    return _parse(filter)


def _parse(filter: Filter) -> Expression:
    """Return the condition of a filter. All its entries must hold."""
    if not isinstance(filter, Mapping):
        raise FilterError(f"expected a mapping as a filter, not {type(filter).__name__}")
    return And([_entry(key, value) for key, value in filter.items()])


def _entry(key: str, value: Any) -> Expression:
    if not isinstance(key, str):
        raise FilterError(f"expected the name of a field, not {key!r}")
    if key == "$not":
        return Not(_parse(value))
    if key in ("$and", "$or"):
        items = [_parse(item) for item in _list(key, value)]
        return And(items) if key == "$and" else Or(items)
    if key.startswith("$"):
        raise FilterError(f"expected a field or $and, $or or $not, not {key!r}")
    return _field(Field(tuple(key.split("."))), value)


def _field(field: Field, value: Any) -> Expression:
    """Return what a field must be: a value, or what operators say."""
    if not isinstance(value, Mapping) or not any(str(key).startswith("$") for key in value):
        return Equals(field, value)
    return And([_operator(field, name, operand) for name, operand in value.items()])


def _operator(field: Field, name: str, operand: Any) -> Expression:
    make = _OPERATORS.get(name)
    if make is None:
        raise FilterError(f"expected an operator {', '.join(_OPERATORS)}, not {name!r}")
    return make(field, operand)


def _list(name: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise FilterError(f"expected a list for {name}, not {type(value).__name__}")
    return value


def _between(field: Field, operand: Any) -> Expression:
    bounds = _list("$between", operand)
    if len(bounds) != 2:
        raise FilterError(f"expected two values for $between, not {len(bounds)}")
    return And([Compares(field, ">=", bounds[0]), Compares(field, "<=", bounds[1])])


def _exists(field: Field, operand: Any) -> Expression:
    if not isinstance(operand, bool):
        raise FilterError(f"expected true or false for $exists, not {operand!r}")
    return Exists(field) if operand else Not(Exists(field))


_OPERATORS: dict[str, Callable[[Field, Any], Expression]] = {
    "$eq": Equals,
    "$ne": lambda field, value: Not(Equals(field, value)),
    "$lt": lambda field, value: Compares(field, "<", value),
    "$lte": lambda field, value: Compares(field, "<=", value),
    "$gt": lambda field, value: Compares(field, ">", value),
    "$gte": lambda field, value: Compares(field, ">=", value),
    "$in": lambda field, value: OneOf(field, _list("$in", value)),
    "$nin": lambda field, value: Not(OneOf(field, _list("$nin", value))),
    "$between": _between,
    "$exists": _exists,
    "$like": Like,
    "$ilike": lambda field, value: Like(field, value, ignore_case=True),
    "$not": lambda field, value: Not(_field(field, value)),
}
