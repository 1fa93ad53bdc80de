"""How deep a value is nested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def nesting(value: Any, limit: int) -> int:
    """Return the levels of mappings and lists in each other, or limit + 1 if there are more."""
    level, inside = 0, _items(value)
    while inside is not None and level <= limit:
        level += 1
        found = [items for item in inside if (items := _items(item)) is not None]
        inside = [item for items in found for item in items] if found else None
    return level


def _items(value: Any) -> Iterable[Any] | None:
    """Return the items of a mapping or a list. None: it is no such thing."""
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list | tuple) else None
