"""Names of tables, and of the objects that belong to them."""

from __future__ import annotations

from typing import TypeAlias

from psycopg import sql

Table: TypeAlias = str | sql.Identifier

MAX_BYTES = 63  # of a name, in UTF-8; the server truncates longer ones


def identifier(table: Table) -> sql.Identifier:
    """Return a quoted name. A dot in a string separates a schema."""
    return sql.Identifier(*table.split(".")) if isinstance(table, str) else table


def quoted(name: sql.Identifier) -> str:
    """Return the text of a name. Until psycopg 3.2, as_string needs a connection for it."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name._obj)


def escaped(name: sql.Identifier) -> sql.SQL:
    """Return a name for a statement with parameters: its percent signs are no placeholders."""
    return sql.SQL(quoted(name).replace("%", "%%"))


def truncated(name: str) -> str:
    """Return the part of a name that the server keeps."""
    return name.encode()[:MAX_BYTES].decode(errors="ignore")


def object_name(table: str, column: str, label: str) -> str:
    """Return TABLE_COLUMN_LABEL, with shorter parts if it is too long, as the server does it."""
    names = [name.encode()[:MAX_BYTES] for name in (table, column)]
    left, right = map(len, names)
    while left + right + len(label) + 2 > MAX_BYTES:
        if left > right:
            left -= 1
        else:
            right -= 1
    sizes = zip(names, (left, right), strict=True)
    return "_".join([*(name[:size].decode(errors="ignore") for name, size in sizes), label])


def statistics_of(table: sql.Identifier, column: str) -> sql.Identifier:
    """Return the name that bm25_analyze gives to the statistics of a column."""
    *schema, name = table._obj
    return sql.Identifier(*schema, object_name(name, column, "bm25"))
