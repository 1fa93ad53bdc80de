"""MULTIVECTOR, the type of a column.

A parameter is the binary format in a bytea, which all drivers pass without registering anything:
multivector(CAST(:doc AS BYTEA)).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Dialect, Double, cast, func, literal
from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.sql.functions import Function
from sqlalchemy.types import TypeEngine, UserDefinedType

from .._driver import as_multivector
from ..multivector import Element, MultiVector


class MULTIVECTOR(UserDefinedType[MultiVector]):
    """A set of token embeddings: MULTIVECTOR(128), MULTIVECTOR(128, "float2"), MULTIVECTOR().

    A value is a MultiVector, an array of shape (tokens, dims), or nested lists; a result is a
    MultiVector.
    """

    cache_ok = True

    def __init__(self, dims: int | None = None, element: Element | None = None) -> None:
        super().__init__()
        if dims is None and element is not None:
            raise ValueError(f"expected dims beside element {element!r}")
        self.dims = None if dims is None else int(dims)
        self.element = element

    def get_col_spec(self, **_kw: Any) -> str:
        modifiers = [str(part) for part in (self.dims, self.element) if part is not None]
        return f"MULTIVECTOR({', '.join(modifiers)})" if modifiers else "MULTIVECTOR"

    @property
    def python_type(self) -> type[Any]:
        return MultiVector

    def bind_expression(self, bindvalue: BindParameter[MultiVector]) -> ColumnElement[MultiVector]:
        return func.multivector(cast(bindvalue, BYTEA), type_=self)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], bytes | None]:  # noqa: ARG002
        def process(value: Any) -> bytes | None:
            multivector = as_multivector(value)
            return None if multivector is None else multivector.to_binary()

        return process

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:  # noqa: ARG002
        return lambda value: f"'\\x{MultiVector(value).to_binary().hex()}'"

    def result_processor(
        self,
        dialect: Dialect,  # noqa: ARG002
        coltype: object,  # noqa: ARG002
    ) -> Callable[[Any], MultiVector | None]:
        return as_multivector

    def compare_values(self, x: Any, y: Any) -> bool:
        """Are two values equal? An array has no truth value to ask."""
        return as_multivector(x) == as_multivector(y)

    class Comparator(TypeEngine.Comparator[MultiVector]):
        """Scores of a column, the document, for a query."""

        def maxsim(self, query: Any) -> Function[float]:
            """Sum over the query tokens of the largest inner product; larger is better."""
            return self._score("maxsim", query)

        def maxsim_cosine(self, query: Any) -> Function[float]:
            """Sum over the query tokens of the largest cosine; larger is better."""
            return self._score("maxsim_cosine", query)

        def maxsim_l2(self, query: Any) -> Function[float]:
            """Sum over the query tokens of the smallest distance; smaller is better."""
            return self._score("maxsim_l2", query)

        def _score(self, name: str, query: Any) -> Function[float]:
            if not hasattr(query, "__clause_element__") and not isinstance(query, ColumnElement):
                query = literal(query, MULTIVECTOR())
            return Function(name, self.expr, query, type_=Double())

    comparator_factory = Comparator


MULTIVECTOR.__module__ = "colbert_pg.sqlalchemy"  # as migrations of Alembic name it
ischema_names["multivector"] = MULTIVECTOR  # reflection
