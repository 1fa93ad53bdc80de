"""Adapters for psycopg2, whose parameters are literals in the statement.

A multivector is its binary format in hex, which is shorter and faster to write and to read than
its text. Adapters are global in psycopg2, and the last one registered for a class wins. So that
pgvector's register_vector may come before or after, its adapter of arrays is led through ours.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg2
from psycopg2.extensions import (
    ISQLQuote,
    adapters,
    connection,
    new_array_type,
    new_type,
    register_adapter,
    register_type,
)

from .._driver import FIND_TYPE, NOT_FOUND, ONLY_TWO_DIMENSIONS
from ..multivector import MultiVector


class MultiVectorAdapter:
    """A literal of type multivector."""

    def __init__(self, value: Any) -> None:
        self._value = MultiVector(value)

    def getquoted(self) -> bytes:
        # E'', so that the setting standard_conforming_strings may be off
        return b"E'\\\\x%b'::bytea::multivector" % self._value.to_binary().hex().encode()


class _ArrayAdapter:
    """Adapt arrays of two dimensions as multivectors, and leave everything else to another."""

    def __init__(self, other: Callable[[Any], Any] | None) -> None:
        self.other = other

    def __call__(self, value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.ndim == 2:
            return MultiVectorAdapter(value)
        if self.other is None:
            raise psycopg2.ProgrammingError(ONLY_TWO_DIMENSIONS.format(value.ndim))
        return self.other(value)


def _lead_through_ours(other: Any) -> _ArrayAdapter:
    return other if isinstance(other, _ArrayAdapter) else _ArrayAdapter(other)


def _register_arrays() -> None:
    register_adapter(np.ndarray, _lead_through_ours(adapters.get((np.ndarray, ISQLQuote))))
    try:
        pgvector = importlib.import_module("pgvector.psycopg2.vector")
    except ImportError:
        return
    # What a later register_vector registers for arrays.
    if hasattr(pgvector, "VectorAdapter"):
        pgvector.VectorAdapter = _lead_through_ours(pgvector.VectorAdapter)  # type: ignore[attr-defined]


def _cast(value: str | None, _cursor: Any) -> MultiVector | None:
    return None if value is None else MultiVector.from_text(value)


def register_multivector(
    conn_or_curs: Any, /, *, globally: bool = False, arrays: bool = True
) -> None:
    """Let psycopg2 take multivectors and arrays of two dimensions, and return multivectors.

    Parameters are adapted everywhere from now on. Results are converted on this connection or
    cursor, or everywhere if globally is true; arrays: those of type multivector[], too.
    """
    conn = conn_or_curs if isinstance(conn_or_curs, connection) else conn_or_curs.connection
    with conn.cursor() as cursor:
        cursor.execute(FIND_TYPE)
        row = cursor.fetchone()
    if row is None:
        raise psycopg2.ProgrammingError(NOT_FOUND)
    oid, array_oid, _ = row
    scope = None if globally else conn_or_curs
    multivector = new_type((oid,), "MULTIVECTOR", _cast)
    register_type(multivector, scope)
    if arrays:
        register_type(new_array_type((array_oid,), "MULTIVECTORARRAY", multivector), scope)
    register_adapter(MultiVector, MultiVectorAdapter)
    _register_arrays()
