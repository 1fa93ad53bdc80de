"""The SQL of a collection. Nothing here talks to a server.

Names go into a statement as quoted identifiers, values as parameters. The conditions of a caller
are SQL: they come from the program, never from its users.
"""

from __future__ import annotations

import operator
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from psycopg import sql
from psycopg.types.json import Jsonb

from .._names import Table, escaped, identifier, quoted, truncated
from .._nesting import nesting
from ..multivector import Element
from .records import Columns, IdType, OnConflict, Ranking, Similarity, check_choice

Where: TypeAlias = Mapping[str, Any] | str | sql.Composable

OPCLASSES: dict[str, str | None] = {
    "maxsim": None,
    "maxsim_cosine": "multivector_cosine_ops",
    "maxsim_l2": "multivector_l2_ops",
}
_DISTANCES = ("maxsim_l2",)  # smaller is better
_COLUMNS = sql.SQL(
    "SELECT attname::text, pg_catalog.format_type(atttypid, atttypmod) "
    "FROM pg_catalog.pg_attribute "
    "WHERE attrelid = pg_catalog.to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
)
# Sessions that create a table at once wait for each other: IF NOT EXISTS lets one of them fail.
_LOCK = sql.SQL("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(%s, 0))")
_INTEGER = re.compile(r"[+-]?[0-9]{1,100}")
_DIMS = re.compile(r"\bmultivector\((\d+)")
_NOTHING = sql.SQL("")
MAX_NESTING = 200  # of a mapping as a condition


@dataclass(frozen=True)
class Statement:
    """A statement and its parameters; with many, params are those of each execution."""

    sql: sql.SQL | sql.Composed
    params: Sequence[Any] = ()
    many: bool = False


@dataclass(frozen=True)
class Query:
    """A query, as its ranking needs it: a multivector, words, or both."""

    ranking: Ranking
    doc: Any = None
    text: str = ""


class Statements:
    """The statements on one table."""

    def __init__(
        self,
        table: Table,
        columns: Columns,
        *,
        element: Element,
        id_type: IdType,
        similarity: Similarity,
    ) -> None:
        check_choice("element", element, Element)
        check_choice("id_type", id_type, IdType)
        check_choice("similarity", similarity, Similarity)
        self.table = identifier(table)
        self.table_name = quoted(self.table)
        self.columns = columns
        self.similarity = similarity
        self._element, self._id_type = element, id_type
        self._table = escaped(self.table)
        self._id, self._text, self._doc = (
            escaped(sql.Identifier(name)) for name in (columns.id, columns.text, columns.doc)
        )
        self._metadata = (
            None if columns.metadata is None else escaped(sql.Identifier(columns.metadata))
        )

    @property
    def is_distance(self) -> bool:
        """Whether the smallest score is the best."""
        return self.similarity in _DISTANCES

    def names(self) -> list[str]:
        """Return the names of all columns, as the server has them."""
        names = (self.columns.id, self.columns.text, self.columns.doc, self.columns.metadata)
        return [truncated(name) for name in names if name is not None]

    def lock(self) -> Statement:
        return Statement(_LOCK, (self.table_name,))

    def existing_columns(self) -> Statement:
        """Return the names and types of the table's columns: no row if there is no table."""
        return Statement(_COLUMNS, (self.table_name,))

    def check_columns(self, found: Sequence[tuple[str, str]], dims: int) -> None:
        """Refuse a table that lacks a column, or whose documents have other dims."""
        types = dict(found)
        missing = [name for name in self.names() if name not in types]
        if missing:
            raise ValueError(f"table {self.table_name} has no column {', '.join(missing)}")
        own = _DIMS.search(types[truncated(self.columns.doc)])
        if own and int(own[1]) != dims:
            raise ValueError(
                f"column {self.columns.doc} of table {self.table_name} has {own[1]} dims, "
                f"not {dims} as the encoder"
            )

    def create(self, dims: int) -> list[Statement]:
        """Return the statements that create the table, and the index on its metadata."""
        parts = [
            sql.SQL("{} {} PRIMARY KEY").format(self._id, sql.SQL(self._id_type)),
            sql.SQL("{} text NOT NULL").format(self._text),
            sql.SQL("{} multivector({}, {})").format(
                self._doc, sql.Literal(int(dims)), sql.SQL(self._element)
            ),
        ]
        statements = []
        if self._metadata is not None:
            parts.insert(2, sql.SQL("{} jsonb NOT NULL DEFAULT '{{}}'").format(self._metadata))
            index = sql.SQL("CREATE INDEX ON {} USING gin ({} jsonb_path_ops)")
            statements.append(Statement(index.format(self._table, self._metadata)))
        table = sql.SQL("CREATE TABLE {} ({})").format(self._table, sql.SQL(", ").join(parts))
        return [Statement(table), *statements]

    def drop(self) -> Statement:
        return Statement(sql.SQL("DROP TABLE IF EXISTS {}").format(self._table))

    def new_ids(self, count: int) -> list[str]:
        """Return random ids."""
        if self._id_type == "bigint":
            raise ValueError("expected ids: a table with ids of type bigint has no default")
        return [str(uuid.uuid4()) for _ in range(count)]

    def ids(self, ids: Sequence[Any]) -> list[str]:
        """Return ids as the server writes them."""
        if isinstance(ids, str):
            raise TypeError("expected a list of ids, not a string")
        for number, value in enumerate(ids, 1):
            if value is None or isinstance(value, bool):
                raise TypeError(f"expected an id, and number {number} is {value}")
        return [_CANONICAL[self._id_type](str(value)) for value in ids]

    def insert(self, rows: Sequence[Sequence[Any]], on_conflict: OnConflict) -> Statement:
        """Insert rows of id, text, doc and metadata, and return the ids of those written.

        With "error" rows that exist are skipped, too: the caller sees which ones.
        """
        names = [self._id, self._text, self._doc]
        if self._metadata is not None:
            names.append(self._metadata)
        action: sql.Composable = sql.SQL("DO NOTHING")
        if on_conflict == "replace":
            action = sql.SQL("DO UPDATE SET {}").format(
                sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(n) for n in names[1:])
            )
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) {} RETURNING {}")
        return Statement(
            statement.format(
                self._table,
                sql.SQL(", ").join(names),
                sql.SQL(", ").join([sql.Placeholder()] * len(names)),
                self._id,
                action,
                self._id,
            ),
            [row[: len(names)] for row in rows],
            many=True,
        )

    def existing_ids(self, ids: Sequence[str]) -> Statement:
        return Statement(
            sql.SQL("SELECT {} FROM {}{}").format(self._id, self._table, self._where(None, ids)),
            (list(ids),),
        )

    def get(self, ids: Sequence[str]) -> Statement:
        return Statement(
            sql.SQL("SELECT {} FROM {}{}").format(
                self._fields(), self._table, self._where(None, ids)
            ),
            (list(ids),),
        )

    def document(self, id: str) -> Statement:
        """Return the text and the multivector of a row."""
        statement = sql.SQL("SELECT {}, {} FROM {} WHERE {} = %s")
        return Statement(statement.format(self._text, self._doc, self._table, self._id), (id,))

    def delete(
        self, ids: Sequence[str] | None, where: Where | None, params: Sequence[Any]
    ) -> Statement:
        if ids is None and not where:
            raise ValueError("expected ids or where; drop() deletes all rows")
        return Statement(
            sql.SQL("DELETE FROM {}{}").format(self._table, self._where(where, ids)),
            [*self._params(where, params), *([] if ids is None else [list(ids)])],
        )

    def count(self, where: Where | None, params: Sequence[Any]) -> Statement:
        return Statement(
            sql.SQL("SELECT count(*) FROM {}{}").format(self._table, self._where(where)),
            self._params(where, params),
        )

    def filter(self, where: Where | None, params: Sequence[Any], limit: int | None) -> Statement:
        return Statement(
            sql.SQL("SELECT {} FROM {}{} ORDER BY {}{}").format(
                self._fields(),
                self._table,
                self._where(where),
                self._id,
                _NOTHING if limit is None else limited(limit),
            ),
            self._params(where, params),
        )

    def search(
        self, limit: int, where: Where | None, *, doc: bool, ranking: Ranking
    ) -> sql.Composed:
        """Return the search. Its parameters are those of search_params."""
        if ranking.mode != "maxsim":
            raise ValueError(f"expected a collection with full_text for mode {ranking.mode}")
        return sql.SQL("SELECT {}, {}({}, %s) AS {}{} FROM {}{} ORDER BY {}{}{}").format(
            self._fields(),
            sql.SQL(self.similarity),
            self._doc,
            self._score(),
            sql.SQL(", {}").format(self._doc) if doc else _NOTHING,
            self._table,
            self._where(where, documents=True),
            self._score(),
            sql.SQL("" if self.is_distance else " DESC"),
            limited(limit),
        )

    def search_params(self, query: Query, where: Where | None, params: Sequence[Any]) -> list[Any]:
        return [query.doc, *self._params(where, params)]

    def _score(self) -> sql.SQL:
        """Return the name of the score, which differs from those of the columns."""
        name = "score"
        while name in self.names():
            name = f"maxsim_{name}"
        return sql.SQL(f'"{name}"')

    def _fields(self, of: str = "") -> sql.Composable:
        """Return the columns of a Record. of: the name of their table, with a dot."""
        metadata: sql.Composable = sql.SQL("'{}'::jsonb")
        if self._metadata is not None:
            metadata = sql.SQL(f"{of}{{}}").format(self._metadata)
        return sql.SQL(f"{of}{{}}, {of}{{}}, {{}}").format(self._id, self._text, metadata)

    def _where(
        self,
        where: Where | None,
        ids: Sequence[str] | None = None,
        *,
        documents: bool = False,
    ) -> sql.Composable:
        """Return a WHERE clause. documents: of rows that have a document."""
        conditions: list[sql.Composable] = []
        if documents:
            conditions.append(sql.SQL("{} IS NOT NULL").format(self._doc))
        if isinstance(where, Mapping):
            if where:
                conditions.append(sql.SQL("{} @> %s").format(self._metadata_column()))
        elif where is not None:
            # The line end closes a comment.
            inside = sql.SQL(where) if isinstance(where, str) else where
            conditions.append(sql.SQL("({}\n)").format(inside))
        if ids is not None:
            conditions.append(
                sql.SQL("{} = ANY (%s::{}[])").format(self._id, sql.SQL(self._id_type))
            )
        if not conditions:
            return _NOTHING
        return sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(conditions))

    def _params(self, where: Where | None, params: Sequence[Any]) -> list[Any]:
        if not isinstance(where, Mapping):
            if params and where is None:
                raise ValueError("expected params only with where as SQL")
            return list(params)
        if params:
            raise ValueError("expected params only with where as SQL, not with a mapping")
        if nesting(where, MAX_NESTING) > MAX_NESTING:
            raise ValueError(f"expected where with at most {MAX_NESTING} levels, not more")
        return [Jsonb(dict(where))] if where else []

    def _metadata_column(self) -> sql.SQL:
        if self._metadata is None:
            raise ValueError(f"table {self.table_name} has no column of metadata")
        return self._metadata


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError(f"expected ids of type uuid, not {text!r}") from None


def _bigint(text: str) -> str:
    number = int(text) if _INTEGER.fullmatch(text) else None
    if number is None or not -(2**63) <= number < 2**63:
        raise ValueError(f"expected ids of type bigint, not {text!r}")
    return str(number)


_CANONICAL: dict[str, Callable[[str], str]] = {"text": str, "uuid": _uuid, "bigint": _bigint}


def checked_limit(limit: int) -> int:
    """Return a limit as an int."""
    if isinstance(limit, bool) or not hasattr(limit, "__index__"):
        raise TypeError(f"expected an integer as limit, not {limit!r}")
    if limit < 0:
        raise ValueError(f"expected limit of at least 0, not {limit}")
    return operator.index(limit)


def limited(limit: int) -> sql.Composable:
    return sql.SQL(" LIMIT {}").format(sql.Literal(checked_limit(limit)))
