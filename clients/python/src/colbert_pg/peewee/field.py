"""MultiVectorField. A parameter is the text form, so nothing is registered with the driver."""

from __future__ import annotations

from typing import Any

from peewee import Cast, Field, Node, Value, fn

from .._driver import as_multivector
from ..multivector import Element, MultiVector


class MultiVectorField(Field):
    """A set of token embeddings: multivector(dims, element).

    A value is a MultiVector, an array of shape (tokens, dims), nested lists, or text; one that is
    read is a MultiVector.
    """

    field_type = "multivector"

    def __init__(
        self, dims: int | None = None, element: Element | None = None, *args: Any, **kwargs: Any
    ) -> None:
        if dims is None and element is not None:
            raise ValueError(f"expected dims beside element {element!r}")
        self.dims, self.element = dims, element
        super().__init__(*args, **kwargs)

    def get_modifiers(self) -> list[Any] | None:
        return [part for part in (self.dims, self.element) if part is not None] or None

    def db_value(self, value: Any) -> str | None:
        multivector = as_multivector(value)
        return None if multivector is None else multivector.to_text()

    def case_value(self, value: Any) -> Any:
        """Cast a value of bulk_update, whose CASE makes a text of it otherwise."""
        return Cast(self.to_value(value), "multivector")

    def python_value(self, value: Any) -> MultiVector | None:
        return as_multivector(value)

    def maxsim(self, query: Any) -> Any:
        """Sum over the query tokens of the largest inner product; larger is better."""
        return self._score(fn.maxsim, query)

    def maxsim_cosine(self, query: Any) -> Any:
        """Sum over the query tokens of the largest cosine; larger is better."""
        return self._score(fn.maxsim_cosine, query)

    def maxsim_l2(self, query: Any) -> Any:
        """Sum over the query tokens of the smallest distance; smaller is better."""
        return self._score(fn.maxsim_l2, query)

    def _score(self, function: Any, query: Any) -> Any:
        if not isinstance(query, Node):
            query = Value(query, converter=self.db_value, unpack=False)
        return function(self, query).coerce(False)
