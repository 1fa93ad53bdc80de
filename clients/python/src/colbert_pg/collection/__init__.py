"""A table of texts with their multivectors: add, search, filter and explain. For psycopg 3."""

from .asynchronous import AsyncCollection
from .records import (
    AsyncRerank,
    Columns,
    FullText,
    Hit,
    IdExistsError,
    IdType,
    Mode,
    NoStatisticsError,
    OnConflict,
    Record,
    Rerank,
    Similarity,
    StoredRanker,
    Term,
)
from .statements import Where
from .sync import Collection

__all__ = [
    "AsyncCollection",
    "AsyncRerank",
    "Collection",
    "Columns",
    "FullText",
    "Hit",
    "IdExistsError",
    "IdType",
    "Mode",
    "NoStatisticsError",
    "OnConflict",
    "Record",
    "Rerank",
    "Similarity",
    "StoredRanker",
    "Term",
    "Where",
]
