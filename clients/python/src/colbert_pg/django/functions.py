"""Scores of a document for a query."""

from __future__ import annotations

from typing import Any

from django.db.models import FloatField, Func, Value

from ..multivector import MultiVector
from .field import MultiVectorField


class _Score(Func):
    output_field = FloatField()
    arity = 2

    def __init__(self, document: Any, query: Any, **extra: Any) -> None:
        if not hasattr(query, "resolve_expression") and not isinstance(query, str):
            query = Value(MultiVector(query), output_field=MultiVectorField())
        super().__init__(document, query, **extra)


class MaxSim(_Score):
    """Sum over the query tokens of the largest inner product; larger is better.

    document: a field. query: a multivector, an array of (tokens, dims), or another field.
    """

    function = "maxsim"


class MaxSimCosine(_Score):
    """Sum over the query tokens of the largest cosine; larger is better."""

    function = "maxsim_cosine"


class MaxSimL2(_Score):
    """Sum over the query tokens of the smallest distance; smaller is better."""

    function = "maxsim_l2"
