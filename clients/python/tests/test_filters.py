"""Filters of frameworks: their SQL agrees with an evaluation in Python."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colbert_pg.collection import Columns
from colbert_pg.integrations._filters import (
    MAX_DEPTH,
    And,
    Compares,
    Contains,
    Equals,
    Exists,
    Expression,
    Field,
    FilterError,
    Like,
    Not,
    OneOf,
    Or,
    Order,
    parse_date,
    to_json,
    where,
)

COLUMNS = Columns(id="the id", text="body", metadata='meta"%s')
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
MISSING = object()
Conn = psycopg.Connection[Any]


# Evaluation of expressions in Python.


def canonical(value: Any) -> Any:
    """Return a hashable that is equal for JSON values that jsonb calls equal."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return (type(value).__name__, value)
    if isinstance(value, (int, float)):
        return ("number", Decimal(repr(value)))
    if isinstance(value, (list, tuple)):
        return ("array", tuple(canonical(inner) for inner in value))
    return ("object", frozenset((key, canonical(inner)) for key, inner in value.items()))


def moment(value: Any) -> datetime | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    if not isinstance(value, str):
        return value if isinstance(value, datetime) else None
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00").replace("t", "T"))
    except ValueError:
        return None


def compare_dates(found: Any, order: str, value: Any) -> bool:
    first, second = moment(found), moment(value)
    if first is None or second is None:
        return False
    if (first.tzinfo is None) != (second.tzinfo is None):
        first, second = first.replace(tzinfo=None), second.replace(tzinfo=None)
    return ORDERS[order](first, second)


def lookup(doc: dict[str, Any], field: Field) -> Any:
    if field.column != "metadata":
        return doc[field.column]
    value = doc["metadata"]
    for key in field.path:
        if not isinstance(value, dict) or key not in value:
            return MISSING
        value = value[key]
    return value


def equal(found: Any, value: Any, dates: bool) -> bool:
    found = None if found is MISSING else found
    if isinstance(value, date):
        return compare_dates(found, "=", value)
    return canonical(found) == canonical(value) or (dates and compare_dates(found, "=", value))


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def compare(found: Any, item: Compares) -> bool:
    if item.dates and moment(item.value):
        return compare_dates(found, item.operator, item.value)
    if is_number(found) and is_number(item.value):
        return ORDERS[item.operator](Decimal(repr(found)), Decimal(repr(item.value)))
    both = isinstance(found, str) and isinstance(item.value, str)
    return both and not item.dates and ORDERS[item.operator](found, item.value)


def is_like(found: Any, pattern: str, ignore_case: bool) -> bool:
    if not isinstance(found, str):
        return False
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    translated = "".join({"%": ".*", "_": "."}.get(part) or re.escape(part[-1]) for part in parts)
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    return re.fullmatch(translated, found, flags) is not None


def matches(item: Expression, doc: dict[str, Any]) -> bool:  # noqa: PLR0911
    match item:
        case And(items):
            return all(matches(inner, doc) for inner in items)
        case Or(items):
            return any(matches(inner, doc) for inner in items)
        case Not(inner):
            return not matches(inner, doc)
        case Equals(field, value, dates):
            return equal(lookup(doc, field), value, dates)
        case Compares():
            return compare(lookup(doc, item.field), item)
        case OneOf(field, values, dates):
            return any(equal(lookup(doc, field), value, dates) for value in values)
        case Contains(field, value):
            found = lookup(doc, field)
            return isinstance(found, list) and any(equal(inner, value, False) for inner in found)
        case Exists(field):
            return lookup(doc, field) is not MISSING
        case Like(field, pattern, ignore_case):
            return is_like(lookup(doc, field), pattern, ignore_case)


# Documents and expressions.

KEYS = st.sampled_from(["a", "b", "", "0", '"', "it's", "%s", "a.b", "{}"])
DATES = st.sampled_from(
    [
        "2020-01-01",
        "2020-01-01T00:00",
        "2020-01-01T00:00:00Z",
        "2020-01-01T00:00:00.1Z",
        "2020-01-01T00:00:00+05",
        "2020-01-01T01:00:00+01:00",
        "2019-12-31T23:30:00.5-00:30",
        "2020-01-01T00:00:00.500000",
        "2020-02-29 12:00:00",
        "2000-02-29t10:00:00+0530",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31",
        # no dates
        "0000-01-01",
        "1900-02-29",
        "2019-02-29",
        "2020-01-01T12:60",
        "2020-01-01T24:00",
        "2020-02-30",
        "2020-13-01",
    ]
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
STRINGS = st.sampled_from(["a", "b", "ab", "B", "1", "", "'; DROP TABLE docs; --", "%", "é"])
NUMBERS = (
    st.integers(-2, 2)
    | st.sampled_from([1.0, 0.1, -0.0, 1e300, 2**70])
    | st.floats(allow_nan=False, allow_infinity=False)
)
SCALARS = st.none() | st.booleans() | NUMBERS | STRINGS | TEXTS | DATES
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=4,
)
DOCS = st.fixed_dictionaries(
    {"text": STRINGS | TEXTS | DATES, "metadata": st.dictionaries(KEYS, VALUES, max_size=4)}
)
FIELDS = st.one_of(
    st.builds(Field, st.tuples(KEYS)),
    st.builds(Field, st.lists(KEYS, min_size=1, max_size=2).map(tuple)),
    st.sampled_from([Field(column="id"), Field(column="text"), Field()]),
)
MOMENTS = DATES.map(moment).filter(bool)
PATTERNS = st.sampled_from(["%", "_", "a%", "%b", r"\%", "", "A_", r"\\", "(.*)"])
OPERATORS: st.SearchStrategy[Order] = st.sampled_from(["<", "<=", ">", ">="])
LEAVES: st.SearchStrategy[Expression] = st.one_of(
    st.builds(Equals, FIELDS, VALUES),
    st.builds(Equals, FIELDS, VALUES | DATES | MOMENTS, st.just(True)),
    st.builds(Compares, FIELDS, OPERATORS, NUMBERS | STRINGS | TEXTS),
    st.builds(Compares, FIELDS, OPERATORS, NUMBERS | MOMENTS, st.just(True)),
    st.builds(OneOf, FIELDS, st.lists(VALUES, max_size=3)),
    st.builds(OneOf, FIELDS, st.lists(VALUES | DATES | MOMENTS, max_size=3), st.just(True)),
    st.builds(Contains, FIELDS, SCALARS),
    st.builds(Exists, FIELDS),
    st.builds(Like, FIELDS, PATTERNS, st.just(False)),
)


def branches(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, max_size=3)
    return st.builds(And, several) | st.builds(Or, several) | st.builds(Not, inner)


EXPRESSIONS = st.recursive(LEAVES, branches, max_leaves=5)


@pytest.fixture(scope="module")
def docs(database: str) -> Iterator[Conn]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("SET TimeZone = 'Asia/Kolkata'")
        conn.execute('CREATE TABLE docs ("the id" text, body text, "meta""%s" jsonb)')
        yield conn


def select(conn: Conn, expression: Expression) -> list[str]:
    condition, params = where(expression, COLUMNS)
    query = psycopg.sql.SQL('SELECT "the id" FROM docs WHERE {} ORDER BY 1').format(condition)
    return [row[0] for row in conn.execute(query, params)]


@given(st.lists(DOCS, max_size=5), st.lists(EXPRESSIONS, min_size=1, max_size=8))
def test_sql_agrees_with_python(
    docs: Conn, found: list[dict[str, Any]], expressions: list[Expression]
) -> None:
    documents = [{**doc, "id": str(n)} for n, doc in enumerate(found)]
    docs.execute("TRUNCATE docs")
    for doc in documents:
        row = (doc["id"], doc["text"], to_json(doc["metadata"]))
        docs.execute("INSERT INTO docs VALUES (%s, %s, %s)", row)
    for expression in expressions:
        expected = [doc["id"] for doc in documents if matches(expression, doc)]
        assert select(docs, expression) == expected, expression


def test_ilike(docs: Conn) -> None:
    docs.execute("TRUNCATE docs")
    docs.execute("""INSERT INTO docs VALUES ('1', 'Gout', '{"a": "Acid", "b": 1}')""")
    assert select(docs, Like(Field(("a",)), "ac%", ignore_case=True)) == ["1"]
    assert select(docs, Like(Field(("a",)), "ac%")) == []
    assert select(docs, Like(Field(column="text"), "g_ut", ignore_case=True)) == ["1"]
    assert select(docs, Like(Field(("b",)), "%", ignore_case=True)) == []


def test_missing_metadata_is_null(docs: Conn) -> None:
    """A table may have NULL where the client writes {}."""
    docs.execute("TRUNCATE docs; INSERT INTO docs VALUES ('1', '', NULL)")
    field = Field(("a",))
    assert select(docs, Equals(field, None)) == ["1"]
    assert select(docs, Not(Equals(field, 1))) == ["1"]
    assert select(docs, Not(Or([Exists(field), Compares(field, "<", 1)]))) == ["1"]


def test_equality_uses_an_index(docs: Conn) -> None:
    docs.execute('CREATE INDEX ON docs USING gin ("meta""%s")')
    docs.execute("SET enable_seqscan = off")
    condition, params = where(Equals(Field(("a", "b")), "x"), COLUMNS)
    query = psycopg.sql.SQL("EXPLAIN SELECT FROM docs WHERE {}").format(condition)
    plan = "\n".join(row[0] for row in docs.execute(query, params))
    docs.execute("RESET enable_seqscan")
    assert "Bitmap Index Scan" in plan


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (Compares(Field(("a",)), "<", None), "expected a number or a string for <, not None"),
        (Compares(Field(("a",)), "<", True), "a number or a string for <, not True"),
        (Compares(Field(("a",)), ">", [1]), r"a number or a string for >, not \[1\]"),
        (Compares(Field(("a",)), ">", "1", dates=True), "a number or an ISO 8601 date for >, not"),
        (Compares(Field(("a",)), ">", float("nan")), "a JSON value, not nan"),
        (Compares(Field(("a",)), ">", 10**5000), "a JSON value, not one of type int"),
        (Equals(Field(("a",)), float("inf")), "a JSON value, not inf"),
        (Equals(Field(("a",)), object()), "a JSON value, not <object"),
        (Equals(Field(("a",)), b"x"), "a JSON value, not b'x'"),
        (Equals(Field(("a",)), datetime(2020, 1, 1)), "a JSON value, not datetime"),
        (Contains(Field(("a",)), [1]), "expected a string, a number, true, false or null"),
        (OneOf(Field(("a",)), [date(2020, 1, 1)]), "expected JSON values, not dates"),
        (Equals(Field(("a",)), "\0"), "without a null character"),
        (Equals(Field(("a",)), [{"\0": 1}]), "without a null character"),
        (Equals(Field(("\0",)), 1), "without a null character"),
        (Exists(Field(("\0",))), "without a null character"),
        (Equals(Field(column="text"), "\ud800"), "without lone surrogates"),
        (Equals(Field(("a",)), ["\ud800"]), "without lone surrogates"),
        (Like(Field(("a",)), "a\\"), "does not end with a backslash"),
        (Like(Field(("a",)), 1), "expected a pattern, not 1"),  # type: ignore[arg-type]
    ],
)
def test_bad_filters(expression: Expression, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        where(expression, COLUMNS)


def test_depth_is_limited(docs: Conn) -> None:
    expression: Expression = Exists(Field(("a",)))
    for _ in range(MAX_DEPTH - 1):
        expression = Not(expression)
    select(docs, expression)
    with pytest.raises(FilterError, match=f"at most {MAX_DEPTH} levels"):
        where(Not(expression), COLUMNS)
    nested: Any = 1
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(FilterError, match="expected a JSON value"):
        where(Equals(Field(("a",)), nested), COLUMNS)


def test_no_metadata_column() -> None:
    columns = Columns(metadata=None)
    where(Equals(Field(column="id"), "1"), columns)
    with pytest.raises(FilterError, match="no such column"):
        where(Exists(Field(("a",))), columns)


@given(DATES)
def test_parse_date(text: str) -> None:
    assert parse_date(text) == (None if "T24" in text else moment(text))
