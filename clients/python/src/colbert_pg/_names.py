"""Names of tables."""

from __future__ import annotations

from typing import TypeAlias

from psycopg import sql

Table: TypeAlias = str | sql.Identifier


def identifier(table: Table) -> sql.Identifier:
    """Return a quoted name. A dot in a string separates a schema."""
    return sql.Identifier(*table.split(".")) if isinstance(table, str) else table


def quoted(name: sql.Identifier) -> str:
    """Return the text of a name. Until psycopg 3.2, as_string needs a connection for it."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name._obj)


def escaped(name: sql.Identifier) -> sql.SQL:
    """Return a name for a statement with parameters: its percent signs are no placeholders."""
    return sql.SQL(quoted(name).replace("%", "%%"))
