"""Filters on metadata: a small expression tree, and its translation into SQL.

Each framework parses its own filter language into the tree. Every expression is true or false: a
field that is missing is null, a comparison of values of different types is false, and Not is true
of all else. In SQL, null stands for false, and only Not has to tell them apart.

Dates in ISO 8601 are compared as points in time where an expression says so. If one of two has a
time zone and the other has none, their local times are compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any, Literal, TypeAlias

from psycopg import sql

from .._names import escaped
from .._nesting import nesting
from ..collection import Columns

Order: TypeAlias = Literal["<", "<=", ">", ">="]

MAX_DEPTH = 100
_MAX_NESTING = 2 * MAX_DEPTH  # a level is a mapping in a list at most
_TOO_DEEP = f"expected at most {MAX_DEPTH} levels of conditions"


class FilterError(ValueError):
    """A filter that cannot be understood."""


@dataclass(frozen=True)
class Field:
    """A value of a document: one in its metadata, its id, or its text."""

    path: tuple[str, ...] = ()  # keys of nested objects in the metadata
    column: Literal["id", "text", "metadata"] = "metadata"


@dataclass(frozen=True)
class Equals:
    """A field equals a JSON value, or a datetime. None equals a field that is missing, too."""

    field: Field
    value: Any
    dates: bool = False  # two dates are equal if they are the same point in time


@dataclass(frozen=True)
class Compares:
    """A field is a number, and so is the value; or both are strings; or both are dates."""

    field: Field
    operator: Order
    value: Any
    dates: bool = False  # strings are dates, and are in no order otherwise


@dataclass(frozen=True)
class OneOf:
    """A field equals one of some values."""

    field: Field
    values: Sequence[Any]
    dates: bool = False


@dataclass(frozen=True)
class Contains:
    """A field is an array, and a JSON value is one of its items."""

    field: Field
    value: Any


@dataclass(frozen=True)
class Exists:
    """A field is there, be it null."""

    field: Field


@dataclass(frozen=True)
class Like:
    """A field is a string that matches a pattern of LIKE, or of ILIKE."""

    field: Field
    pattern: str
    ignore_case: bool = False


@dataclass(frozen=True)
class And:
    items: Sequence[Expression]


@dataclass(frozen=True)
class Or:
    items: Sequence[Expression]


@dataclass(frozen=True)
class Not:
    item: Expression


Expression: TypeAlias = Equals | Compares | OneOf | Contains | Exists | Like | And | Or | Not

_DATE = (
    r"(?!0000)[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_ZONE = r"(?:[Zz]|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)"
# Regular expressions of PostgreSQL, which Python reads alike.
ISO_DATE = f"^(?:{_DATE})(?:[Tt ]{_TIME}{_ZONE}?)?$"
ZONE = f"{_ZONE}$"
_PARTS = re.compile(rf"(.{{10}})(?:.({_TIME})({_ZONE})?)?")


def parse_date(value: Any) -> datetime | None:
    """Return the point in time that an ISO 8601 string stands for. None if it is something else."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if not isinstance(value, str) or "\n" in value or not re.match(ISO_DATE, value):
        return None
    match = _PARTS.fullmatch(value)
    assert match is not None
    day, time, zone = match.groups()
    return _with_zone(datetime.fromisoformat(f"{day} {_six_digits(time or '00:00')}"), zone)


def _six_digits(time: str) -> str:
    """Write the fraction of a second as Python 3.10 reads it."""
    whole, dot, fraction = time.partition(".")
    return f"{whole}.{fraction:0<6}" if dot else whole


def _with_zone(moment: datetime, zone: str | None) -> datetime:
    if zone is None:
        return moment
    if zone in ("Z", "z"):
        return moment.replace(tzinfo=timezone.utc)
    digits = zone[1:].replace(":", "")
    return datetime.fromisoformat(f"{moment.isoformat()}{zone[0]}{digits[:2]}:{digits[2:] or '00'}")


def check_depth(filter: Any) -> None:
    """Refuse a filter of a framework that is nested too deeply to parse."""
    if nesting(filter, _MAX_NESTING) > _MAX_NESTING:
        raise FilterError(_TOO_DEEP)


def is_constant(expression: Expression) -> bool:
    """Return whether an expression selects all rows or none, whatever their fields are."""
    return _constant(expression) is not None


def _constant(expression: Expression) -> bool | None:
    """Return the value of an expression for every row, None if it depends on the row."""
    if isinstance(expression, Not):
        value = _constant(expression.item)
        return None if value is None else not value
    if not isinstance(expression, And | Or):
        return None
    values = [_constant(item) for item in expression.items]
    decisive = isinstance(expression, Or)
    if decisive in values:
        return decisive
    return None if None in values else not decisive


def where(expression: Expression, columns: Columns) -> tuple[sql.Composable, list[Any]]:
    """Return an expression in SQL, and its parameters."""
    writer = _Writer(columns)
    return sql.SQL("({})").format(writer.expression(expression)), writer.params


class _Writer:
    """Writes SQL from left to right, and collects the parameters in that order."""

    def __init__(self, columns: Columns) -> None:
        self.params: list[Any] = []
        self._columns = columns
        self._depth = 0

    def expression(self, item: Expression) -> sql.Composable:
        if self._depth == MAX_DEPTH:
            raise FilterError(_TOO_DEEP)
        self._depth += 1
        written = self._dispatch(item)
        self._depth -= 1
        return written

    def _dispatch(self, item: Expression) -> sql.Composable:
        match item:
            case And(items) | Or(items):
                return self._join(items, all_of=isinstance(item, And))
            case Not(inner):
                return sql.SQL("({}) IS NOT TRUE").format(self.expression(inner))
            case _:
                return self._leaf(item)

    def _leaf(self, item: Equals | Compares | OneOf | Contains | Exists | Like) -> sql.Composable:
        match item:
            case Equals(field, value, dates):
                return self._equals(field, value, dates)
            case Compares():
                return self._compares(item)
            case OneOf(field, values, dates):
                return self._one_of(field, values, dates)
            case Contains(field, value):
                return self._has_item(field, value)
            case Exists(field):
                return sql.SQL("{} IS NOT NULL").format(self._json(field))
            case Like():
                return self._like(item)

    def _join(self, items: Sequence[Expression], all_of: bool) -> sql.Composable:
        if not items:
            return sql.SQL("true" if all_of else "false")
        joint = sql.SQL(" AND " if all_of else " OR ")
        return joint.join(sql.SQL("({})").format(self.expression(item)) for item in items)

    def _param(self, value: Any, type: str) -> sql.SQL:
        self.params.append(value)
        return sql.SQL("%s::" + type)

    def _column(self, field: Field) -> sql.SQL:
        name = getattr(self._columns, field.column)
        if name is None:
            raise FilterError("expected no filter on metadata: the table has no such column")
        return escaped(sql.Identifier(name))

    def _json(self, field: Field) -> sql.Composable:
        """Write a field as jsonb. It is NULL if the field is missing."""
        if field.column != "metadata":
            return sql.SQL("to_jsonb({}::text)").format(self._column(field))
        keys = [self._param(_checked(key), "text") for key in field.path]
        return sql.SQL(" -> ").join([self._column(field), *keys])

    def _text(self, field: Field) -> sql.Composable:
        """Write a field as text. It is NULL if the field is no string."""
        if field.column != "metadata":
            return sql.SQL("{}::text").format(self._column(field))
        is_string = sql.SQL("jsonb_typeof({}) = 'string'").format(self._json(field))
        return sql.SQL("CASE WHEN {} THEN ({}) #>> '{{}}' END").format(is_string, self._json(field))

    def _equals(self, field: Field, value: Any, dates: bool) -> sql.Composable:
        moment = parse_date(value) if dates else None
        if isinstance(value, date):
            if moment is None:
                raise FilterError(f"expected a JSON value, not {value!r}")
            return self._compares_dates(field, "=", moment)
        same = self._equals_json(field, value)
        if moment is None:
            return same
        return sql.SQL("{} OR {}").format(same, self._compares_dates(field, "=", moment))

    def _equals_json(self, field: Field, value: Any) -> sql.Composable:
        if value is None:
            return sql.SQL("nullif({}, 'null') IS NULL").format(self._json(field))
        if field.column != "metadata":
            if not isinstance(value, str):
                return sql.SQL("false")
            column = self._column(field)
            return sql.SQL("{}::text = {}").format(column, self._param(_checked(value), "text"))
        if field.path and not isinstance(value, (list, tuple, dict)):
            return self._contains(field, value)
        found = self._json(field)
        return sql.SQL("{} = {}").format(found, self._param(to_json(value), "jsonb"))

    def _contains(self, field: Field, value: Any) -> sql.Composable:
        """Write that the metadata contains the field with a value. An index of it serves this."""
        to_json(value)
        for key in reversed(field.path):
            value = {key: value}
        column = self._column(field)
        return sql.SQL("{} @> {}").format(column, self._param(to_json(value), "jsonb"))

    def _has_item(self, field: Field, value: Any) -> sql.Composable:
        if isinstance(value, (list, tuple, dict)):  # of which @> would accept a part
            raise FilterError(f"expected a string, a number, true, false or null, not {value!r}")
        return self._contains(field, [value]) if field.path else sql.SQL("false")

    def _one_of(self, field: Field, values: Sequence[Any], dates: bool) -> sql.Composable:
        plain = [value for value in values if value is not None and not isinstance(value, date)]
        moments = [parse_date(value) for value in values] if dates else []
        if not dates and len(plain) < sum(value is not None for value in values):
            raise FilterError("expected JSON values, not dates")
        parts: list[sql.Composable] = []
        if plain:
            parts.append(self._one_of_json(field, plain))
        if None in values:
            parts.append(self._equals_json(field, None))
        parts += [self._compares_dates(field, "=", moment) for moment in moments if moment]
        return sql.SQL(" OR ").join(parts) if parts else sql.SQL("false")

    def _one_of_json(self, field: Field, values: Sequence[Any]) -> sql.Composable:
        if field.column == "metadata":
            found = self._json(field)
            array = self._param([to_json(value) for value in values], "jsonb[]")
        else:
            found = self._text(field)
            texts = [_checked(value) for value in values if isinstance(value, str)]
            array = self._param(texts, "text[]")
        return sql.SQL("{} = ANY ({})").format(found, array)

    def _compares(self, item: Compares) -> sql.Composable:
        moment = parse_date(item.value) if item.dates else None
        if moment is not None:
            return self._compares_dates(item.field, item.operator, moment)
        operator = sql.SQL(item.operator)
        if isinstance(item.value, (int, float)) and not isinstance(item.value, bool):
            is_number = sql.SQL("jsonb_typeof({}) = 'number'").format(self._json(item.field))
            found = self._json(item.field)
            value = self._param(to_json(item.value), "jsonb")
            return sql.SQL("{} AND {} {} {}").format(is_number, found, operator, value)
        if isinstance(item.value, str) and not item.dates:
            text = self._text(item.field)
            value = self._param(_checked(item.value), "text")
            return sql.SQL('({}) COLLATE "C" {} {}').format(text, operator, value)
        expected = "a number or an ISO 8601 date" if item.dates else "a number or a string"
        raise FilterError(f"expected {expected} for {item.operator}, not {item.value!r}")

    def _compares_dates(
        self, field: Field, operator: Order | Literal["="], moment: datetime
    ) -> sql.Composable:
        """Compare a field with a date. NULL if the field is no date."""
        is_date = sql.SQL("{} ~ {}").format(self._text_of(field), self._param(ISO_DATE, "text"))
        return sql.SQL("CASE WHEN {} THEN {} END").format(
            is_date,
            self._compares_aware(field, operator, moment)
            if moment.tzinfo
            else self._compares_local(field, operator, moment),
        )

    def _text_of(self, field: Field) -> sql.Composable:
        return sql.SQL("({})").format(self._text(field))

    def _compares_aware(self, field: Field, operator: str, moment: datetime) -> sql.Composable:
        time = sql.SQL("substr({}, 11)").format(self._text_of(field))
        return sql.SQL("CASE WHEN {} ~ {} THEN {}::timestamptz {} {} ELSE {} END").format(
            time,
            self._param(ZONE, "text"),
            self._text_of(field),
            sql.SQL(operator),
            self._param(moment.isoformat(), "timestamptz"),
            self._compares_local(field, operator, moment),
        )

    def _compares_local(self, field: Field, operator: str, moment: datetime) -> sql.Composable:
        day = sql.SQL("left({}, 10)").format(self._text_of(field))
        time = sql.SQL("substr({}, 11)").format(self._text_of(field))
        return sql.SQL("({} || regexp_replace({}, {}, ''))::timestamp {} {}").format(
            day,
            time,
            self._param(ZONE, "text"),
            sql.SQL(operator),
            self._param(moment.replace(tzinfo=None).isoformat(), "timestamp"),
        )

    def _like(self, item: Like) -> sql.Composable:
        _check_pattern(item.pattern)
        text = self._text(item.field)
        operator = sql.SQL("ILIKE" if item.ignore_case else "LIKE")
        pattern = self._param(_checked(item.pattern), "text")
        return sql.SQL("({}) {} {}").format(text, operator, pattern)


def _check_pattern(pattern: str) -> None:
    if not isinstance(pattern, str):
        raise FilterError(f"expected a pattern, not {pattern!r}")
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        raise FilterError("expected a pattern that does not end with a backslash")


def to_json(value: Any) -> str:
    """Return a value as JSON that the server takes as jsonb."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise FilterError(f"expected a JSON value, not {_brief(value)}") from error
    _check_strings(value)
    return text


def _check_strings(value: Any) -> None:
    if isinstance(value, str):
        _checked(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_strings(key)
            _check_strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check_strings(inner)


def _checked(text: str) -> str:
    """Return text that the server can hold."""
    if "\0" in text:
        raise FilterError("expected text without a null character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FilterError("expected text without lone surrogates") from error
    return text


def _brief(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        text = f"one of type {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
