"""Adapters for pg8000, native and DB-API. It passes all values as text.

The last adapter that is registered for a class wins. So that pgvector's register_vector may come
before or after, a connection keeps ours for arrays, in front of the one registered last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pg8000.converters import array_out
from pg8000.exceptions import InterfaceError

from .._driver import FIND_TYPE, NOT_FOUND, ONLY_TWO_DIMENSIONS, parse_array
from ..multivector import MultiVector


def _array_out(value: MultiVector) -> str:
    """Write an element of an array."""
    return f'"{value.to_text()}"'


class _Arrays:
    """Write arrays of two dimensions as multivectors, and leave others to another adapter."""

    def __init__(self, other: Callable[[Any], str] | None) -> None:
        self.other = other

    def __call__(self, value: Any) -> str:
        if value.ndim == 2:
            return MultiVector(value).to_text()
        if self.other is None:
            raise InterfaceError(ONLY_TWO_DIMENSIONS.format(value.ndim))
        return self.other(value)


def _keep(arrays: _Arrays, register: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Return a register_out_adapter that keeps our adapter of arrays in front."""

    def register_out_adapter(typ: Any, out_func: Any) -> None:
        if typ is np.ndarray:
            arrays.other = out_func
        else:
            register(typ, out_func)

    return register_out_adapter


def register_multivector(conn: Any, /) -> None:
    """Let a connection take multivectors and arrays of two dimensions, and return multivectors.

    In a list, for a parameter of type multivector[], each item must be a MultiVector.
    """
    rows = conn.execute_simple(FIND_TYPE).rows
    if not rows:
        raise InterfaceError(NOT_FOUND)
    oid, array_oid, _ = rows[0]
    conn.register_in_adapter(oid, MultiVector.from_text)
    conn.register_in_adapter(array_oid, parse_array)
    conn.register_out_adapter(MultiVector, MultiVector.to_text)
    array_out.register(MultiVector, _array_out)
    before = conn.py_types.get(np.ndarray)
    if not isinstance(before, _Arrays):
        arrays = _Arrays(before)
        conn.register_out_adapter(np.ndarray, arrays)
        conn.register_out_adapter = _keep(arrays, conn.register_out_adapter)
