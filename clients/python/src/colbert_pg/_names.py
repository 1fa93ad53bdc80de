"""Names of tables."""

from __future__ import annotations

from typing import TypeAlias

from psycopg import sql

Table: TypeAlias = str | sql.Identifier


def identifier(table: Table) -> sql.Identifier:
    """Return a quoted name. A dot in a string separates a schema."""
    return sql.Identifier(*table.split(".")) if isinstance(table, str) else table
