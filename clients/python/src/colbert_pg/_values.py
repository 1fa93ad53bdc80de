"""Values for COPY, such that both formats store the same, and what SQL would read.

psycopg's binary form follows the type of the column: it would take any string as true, a string of
JSON as a JSON string, and a number too large for real as infinity.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
from psycopg.types import TypesRegistry
from psycopg.types.json import Json, Jsonb

Convert: TypeAlias = Callable[[Any], Any]


def _boolean(value: Any) -> Any:
    if not isinstance(value, (bool, np.bool_, int, np.integer)) or value not in (0, 1):
        raise ValueError(f"expected True or False for type boolean, not {value!r:.40}")
    return bool(value)


def _real(value: Any) -> Any:
    if not isinstance(value, (int, float, Decimal, np.integer, np.floating)):
        return value
    number = float(value)
    try:
        single = struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        single = math.inf
    finite = value.is_finite() if isinstance(value, Decimal) else math.isfinite(number)
    if finite and (math.isinf(single) or (single == 0 and number != 0)):
        raise ValueError(f"{value!r:.40} is out of range for type real")
    return value


def _json(value: Any) -> Any:
    if isinstance(value, (Json, Jsonb)):
        return value
    return Jsonb(value, dumps=str) if isinstance(value, str) else Jsonb(value)


_CONVERT: dict[str, Convert] = {"bool": _boolean, "float4": _real, "json": _json, "jsonb": _json}


def converter(types: TypesRegistry, oid: int) -> Convert | None:
    """Return what makes a value that is not None ready for a column, None if nothing is to do."""
    info = types.get(oid)
    convert = _CONVERT.get(info.name) if info else None
    if info is None or convert is None or info.array_oid != oid:
        return convert
    return lambda value: _in_lists(convert, value)


def _in_lists(convert: Convert, value: Any) -> Any:
    if isinstance(value, list):
        return [_in_lists(convert, item) for item in value]
    return None if value is None else convert(value)
