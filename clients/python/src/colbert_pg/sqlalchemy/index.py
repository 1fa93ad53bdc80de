"""Indexes for searches."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Index


def colbert_index(
    name: str,
    column: Any,
    *,
    method: Literal["colbert_hnsw", "colbert_ivf"] = "colbert_hnsw",
    opclass: str | None = None,
    **options: Any,
) -> Index:
    """Return an index on a column, or on the name of one.

    options: those of CREATE INDEX ... WITH, such as quantizer="bit".
    """
    # SQLAlchemy writes an option as it is, and an unquoted bit is the name of a type.
    quoted = {name: f"'{value}'" for name, value in options.items()}
    key = column if isinstance(column, str) else column.key
    return Index(
        name,
        column,
        postgresql_using=method,
        postgresql_with=quoted,
        postgresql_ops={key: opclass} if opclass else {},
    )
