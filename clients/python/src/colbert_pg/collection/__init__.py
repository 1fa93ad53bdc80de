"""A table of texts with their multivectors: add, search, filter and explain. For psycopg 3."""

from .asynchronous import AsyncCollection
from .records import (
    AsyncRerank,
    Columns,
    Hit,
    IdExistsError,
    IdType,
    OnConflict,
    Record,
    Rerank,
    Similarity,
)
from .statements import Where
from .sync import Collection

__all__ = [
    "AsyncCollection",
    "AsyncRerank",
    "Collection",
    "Columns",
    "Hit",
    "IdExistsError",
    "IdType",
    "OnConflict",
    "Record",
    "Rerank",
    "Similarity",
    "Where",
]
