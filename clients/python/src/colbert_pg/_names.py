"""Names of tables."""

from __future__ import annotations

from typing import TypeAlias

from psycopg import sql

Table: TypeAlias = str | sql.Identifier


def identifier(table: Table) -> sql.Identifier:
    """Return a quoted name. A dot in a string separates a schema."""
    return sql.Identifier(*table.split(".")) if isinstance(table, str) else table


def quoted(name: sql.Identifier) -> sql.SQL:
    """Return a name for a statement with parameters: its percent signs are no placeholders."""
    return sql.SQL(name.as_string(None).replace("%", "%%"))
