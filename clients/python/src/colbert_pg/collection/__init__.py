"""A table of texts with their multivectors: add, search, filter and explain. For psycopg 3."""

from .records import Columns, Hit, IdExistsError, Record
from .sync import Collection

__all__ = ["Collection", "Columns", "Hit", "IdExistsError", "Record"]
