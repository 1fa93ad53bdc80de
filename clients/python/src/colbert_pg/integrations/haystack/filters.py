"""The filters of Haystack. They mean what haystack.utils.document_matches_filter does.

A value and a field of other types are not equal and in no order, be it a number and a boolean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from haystack.errors import FilterError as HaystackFilterError
from psycopg import sql

from ...collection import Columns
from .._filters import (
    And,
    Compares,
    Equals,
    Exists,
    Expression,
    Field,
    FilterError,
    Not,
    OneOf,
    Or,
    check_depth,
    where,
)
from .rows import EXTRA, EXTRAS, NO_CONTENT

Filters = dict[str, Any]

_TRUE, _FALSE = And(()), Or(())
_LOGICAL: dict[str, Callable[[list[Expression]], Expression]] = {
    "AND": And,
    "OR": Or,
    "NOT": lambda items: Not(And(items)),
}


def translate(filters: Filters | None, columns: Columns) -> tuple[sql.Composable, list[Any]] | None:
    """Return a condition in SQL and its parameters. None if there are no filters."""
    if not filters:
        return None
    try:
        check_depth(filters)
        return where(parse(filters), columns)
    except FilterError as error:
        raise HaystackFilterError(str(error)) from error


def parse(filters: Filters) -> Expression:
    """Return the condition of filters."""
    if not isinstance(filters, dict):
        raise FilterError(f"expected a dict as a filter, not {type(filters).__name__}")
    if "field" in filters:
        return _comparison(filters)
    operator, conditions = _get(filters, "operator"), _get(filters, "conditions")
    make = _LOGICAL.get(operator) if isinstance(operator, str) else None
    if make is None:
        raise FilterError(f"expected an operator {', '.join(_LOGICAL)}, not {operator!r}")
    if not isinstance(conditions, list):
        raise FilterError(f"expected a list of conditions, not {type(conditions).__name__}")
    return make([parse(condition) for condition in conditions])


def _comparison(condition: Filters) -> Expression:
    name, operator = _get(condition, "field"), _get(condition, "operator")
    value = _get(condition, "value")
    if not isinstance(name, str):
        raise FilterError(f"expected the name of a field, not {name!r}")
    make = _OPERATORS.get(operator) if isinstance(operator, str) else None
    if make is None:
        raise FilterError(f"expected an operator {', '.join(_OPERATORS)}, not {operator!r}")
    if name == "content":
        none = Exists(Field((EXTRA, NO_CONTENT)))
        text = make(Field(column="text"), value)
        return Or([And([none, _of_none(operator, value)]), And([Not(none), text])])
    field = _field(name)
    if field is None:
        return _of_none(operator, value)
    if field.path[:1] == (EXTRA,) and value is not None and field.path[1] != "score":
        raise FilterError(f"expected a comparison of {name} with None, not {value!r}")
    return make(field, value)


def _get(condition: Filters, key: str) -> Any:
    if key not in condition:
        found = ", ".join(map(str, condition))
        raise FilterError(f"expected a key {key!r} in a condition, not {found}")
    return condition[key]


def _field(name: str) -> Field | None:
    """Return a field of a document. None if no document can have it."""
    root, *path = name.split(".")
    if root == "meta":
        if not path:
            raise FilterError("expected a field of meta, such as meta.name")
        return None if path[0] == EXTRA else Field(tuple(path))
    if path or root == EXTRA:
        return None
    if root == "id":
        return Field(column="id")
    return Field((EXTRA, root)) if root in EXTRAS else Field((root,))


def _of_none(operator: str, value: Any) -> Expression:
    """Return the result of a comparison with a field that is None."""
    _OPERATORS[operator](Field(("x",)), value)  # refuses bad values
    if operator in ("in", "not in"):
        return _TRUE if (None in value) == (operator == "in") else _FALSE
    if operator in ("==", "!="):
        return _TRUE if (value is None) == (operator == "==") else _FALSE
    return _FALSE


def _compares(field: Field, operator: Any, value: Any) -> Expression:
    return _FALSE if value is None else Compares(field, operator, value, dates=True)


def _one_of(field: Field, values: Any) -> Expression:
    if not isinstance(values, list):
        raise FilterError(f"expected a list for in and not in, not {type(values).__name__}")
    return OneOf(field, values, dates=True)


_OPERATORS: dict[str, Callable[[Field, Any], Expression]] = {
    "==": lambda field, value: Equals(field, value, dates=True),
    "!=": lambda field, value: Not(Equals(field, value, dates=True)),
    ">": lambda field, value: _compares(field, ">", value),
    ">=": lambda field, value: _compares(field, ">=", value),
    "<": lambda field, value: _compares(field, "<", value),
    "<=": lambda field, value: _compares(field, "<=", value),
    "in": _one_of,
    "not in": lambda field, values: Not(_one_of(field, values)),
}
