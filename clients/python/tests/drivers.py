"""The drivers behind one interface, so that each test runs with all of them.

A statement has parameters $1, $2 and so on, in this order.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import asyncpg
import pg8000.dbapi
import pg8000.native
import pgvector.asyncpg
import pgvector.pg8000
import pgvector.psycopg
import pgvector.psycopg2
import psycopg
import psycopg2

import colbert_pg.asyncpg
import colbert_pg.pg8000
import colbert_pg.psycopg
import colbert_pg.psycopg2

PARAMETER = re.compile(r"\$\d+")


class Driver(ABC):
    """A connection in autocommit mode."""

    name: ClassVar[str]

    @abstractmethod
    async def connect(self, database: str) -> None:
        pass

    @abstractmethod
    async def register(self) -> None:
        """Call register_multivector."""

    @abstractmethod
    async def register_vector(self) -> None:
        """Call pgvector's register_vector."""

    @abstractmethod
    async def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        pass

    @abstractmethod
    async def close(self) -> None:
        pass


class Psycopg(Driver):
    name = "psycopg"

    async def connect(self, database: str) -> None:
        self.conn = psycopg.connect(dbname=database, autocommit=True)

    async def register(self) -> None:
        colbert_pg.psycopg.register_multivector(self.conn)

    async def register_vector(self) -> None:
        pgvector.psycopg.register_vector(self.conn)

    async def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        cursor = self.conn.execute(PARAMETER.sub("%s", statement), parameters)
        return cursor.fetchall() if cursor.description else []

    async def close(self) -> None:
        self.conn.close()


class PsycopgBinary(Psycopg):
    """Results in the binary format."""

    name = "psycopg-binary"

    async def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        cursor = self.conn.execute(PARAMETER.sub("%s", statement), parameters, binary=True)
        return cursor.fetchall() if cursor.description else []


class PsycopgLiterals(Psycopg):
    """Parameters as literals in the statement."""

    name = "psycopg-client"

    async def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        cursor = psycopg.ClientCursor(self.conn)
        cursor.execute(PARAMETER.sub("%s", statement), parameters)
        return cursor.fetchall() if cursor.description else []


class PsycopgAsync(Driver):
    name = "psycopg-async"

    async def connect(self, database: str) -> None:
        self.conn = await psycopg.AsyncConnection.connect(dbname=database, autocommit=True)

    async def register(self) -> None:
        await colbert_pg.psycopg.register_multivector_async(self.conn)

    async def register_vector(self) -> None:
        await pgvector.psycopg.register_vector_async(self.conn)

    async def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        cursor = await self.conn.execute(PARAMETER.sub("%s", statement), parameters)
        return await cursor.fetchall() if cursor.description else []

    async def close(self) -> None:
        await self.conn.close()


class Psycopg2(Driver):
    name = "psycopg2"

    async def connect(self, database: str) -> None:
        self.conn = psycopg2.connect(dbname=database)
        self.conn.autocommit = True

    async def register(self) -> None:
        colbert_pg.psycopg2.register_multivector(self.conn)

    async def register_vector(self) -> None:
        pgvector.psycopg2.register_vector(self.conn)

    async def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.conn.cursor() as cursor:
            cursor.execute(PARAMETER.sub("%s", statement), parameters)
            return cursor.fetchall() if cursor.description else []

    async def close(self) -> None:
        self.conn.close()


class Asyncpg(Driver):
    name = "asyncpg"

    async def connect(self, database: str) -> None:
        self.conn = await asyncpg.connect(database=database)

    async def register(self) -> None:
        await colbert_pg.asyncpg.register_multivector(self.conn)

    async def register_vector(self) -> None:
        await pgvector.asyncpg.register_vector(self.conn)

    async def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.conn.fetch(statement, *parameters)]

    async def close(self) -> None:
        await self.conn.close()


class Pg8000(Driver):
    name = "pg8000"

    async def connect(self, database: str) -> None:
        self.conn: Any = pg8000.native.Connection(os.environ["PGUSER"], **where(database))

    async def register(self) -> None:
        colbert_pg.pg8000.register_multivector(self.conn)

    async def register_vector(self) -> None:
        pgvector.pg8000.register_vector(self.conn)

    async def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        named = {f"p{number}": value for number, value in enumerate(parameters, 1)}
        rows = self.conn.run(re.sub(r"\$(\d+)", r":p\1 ", statement), **named)
        return [tuple(row) for row in rows or []]

    async def close(self) -> None:
        self.conn.close()


class Pg8000Dbapi(Pg8000):
    name = "pg8000-dbapi"

    async def connect(self, database: str) -> None:
        self.conn = pg8000.dbapi.connect(os.environ["PGUSER"], **where(database))
        self.conn.autocommit = True

    async def register_vector(self) -> None:
        self.conn.run = lambda statement: self.conn.execute_simple(statement).rows
        pgvector.pg8000.register_vector(self.conn)

    async def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        cursor = self.conn.cursor()
        cursor.execute(PARAMETER.sub("%s", statement), parameters)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


def where(database: str) -> dict[str, Any]:
    socket = f"{os.environ['PGHOST']}/.s.PGSQL.{os.environ['PGPORT']}"
    return {"database": database, "unix_sock": socket}


DRIVERS: list[type[Driver]] = [
    Psycopg,
    PsycopgBinary,
    PsycopgLiterals,
    PsycopgAsync,
    Psycopg2,
    Asyncpg,
    Pg8000,
    Pg8000Dbapi,
]
