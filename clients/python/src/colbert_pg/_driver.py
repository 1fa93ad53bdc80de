"""What the adapters of all drivers share."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from .multivector import MultiVector

NOT_FOUND = (
    "type multivector not found: run CREATE EXTENSION colbert_pg in this database, and have the "
    "extension's schema in search_path"
)
ONLY_TWO_DIMENSIONS = (
    "expected an array of 2 dimensions (tokens, dims), not {}; for single vectors, call pgvector's "
    "register_vector, too"
)
# Type, array type and schema, as search_path finds them.
FIND_TYPE = """
    SELECT t.oid, t.typarray, n.nspname
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE t.oid = pg_catalog.to_regtype('multivector')
"""
# Classes of SQLSTATE by which the server refuses a row: data, constraints, RAISE, limits.
_ROW_FAULTS = ("22", "23", "P0", "54")
_SINGLE_NUMBER = re.compile(r"\[\[[^\],]*\]\]")


def pgvector_type() -> type | None:
    """Return pgvector.Vector if the program uses pgvector."""
    return getattr(sys.modules.get("pgvector"), "Vector", None)


def is_row_fault(sqlstate: str | None) -> bool:
    """Return whether an error of the server is about a row."""
    return sqlstate is not None and sqlstate.startswith(_ROW_FAULTS)


def as_multivector(value: Any) -> MultiVector | None:
    """Return a multivector from what a program passes, or from what a driver returns."""
    if value is None or isinstance(value, MultiVector):
        return value
    if isinstance(value, str):
        return MultiVector.from_text(value)
    if isinstance(value, (bytes, memoryview)):
        return MultiVector.from_binary(bytes(value))
    return MultiVector(value)


def parse_array(text: str) -> Any:
    """Read the text of an array of multivectors, as lists.

    PostgreSQL quotes its elements, other than those of a single number.
    """
    if text.startswith("["):  # bounds, [0:1]={...}
        text = text.partition("=")[2]
    as_json = _SINGLE_NUMBER.sub(r'"\g<0>"', text)
    as_json = as_json.replace("{", "[").replace("}", "]").replace("NULL", "null")
    return _load_items(json.loads(as_json))


def _load_items(item: Any) -> Any:
    if isinstance(item, list):
        return [_load_items(inner) for inner in item]
    return None if item is None else MultiVector.from_text(item)
