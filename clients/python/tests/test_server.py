"""MultiVector and the server agree; copying and pools of connections."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import numpy as np
import numpy.typing as npt
import psycopg
import psycopg_pool
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strategies import ELEMENTS, multivectors

import colbert_pg.asyncpg
import colbert_pg.psycopg
from colbert_pg import Element, MultiVector

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def conn(database: str) -> Iterator[Connection]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        colbert_pg.psycopg.register_multivector(conn)
        yield conn


ARRAYS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.floats(-65504, 65504, width=32) | st.floats(-1, 1, width=32),
)


@given(array=ARRAYS, element=st.sampled_from(ELEMENTS))
def test_elements_are_rounded_as_the_server_does(
    conn: Connection, array: npt.NDArray[np.float32], element: Element
) -> None:
    declared = f"multivector({array.shape[1]}, {element})"
    row = conn.execute(f"SELECT multivector_send(%s::{declared})", (array,)).fetchone()
    assert row == (MultiVector(array, element).to_binary(),)


@given(value=multivectors())
def test_the_server_takes_all_forms(conn: Connection, value: MultiVector) -> None:
    declared = f"multivector({value.shape[1]}, {value.element})"
    row = conn.execute(
        f"SELECT multivector_send(multivector(%s)), multivector_send(%s), %s::{declared}",
        (value.to_binary(), value, value.to_text()),
    ).fetchone()
    assert row == (value.to_binary(), value.to_binary(), value)


@given(value=multivectors())
def test_the_servers_text_is_read(conn: Connection, value: MultiVector) -> None:
    row = conn.execute("SELECT %s::multivector::text", (value,)).fetchone()
    assert row
    assert MultiVector.from_text(str(row[0])) == value


@given(a=multivectors("float4"), b=multivectors("float4"))
def test_equality_is_the_servers(conn: Connection, a: MultiVector, b: MultiVector) -> None:
    row = conn.execute("SELECT %s::multivector = %s::multivector", (a, b)).fetchone()
    assert row == (a == b,)


@pytest.mark.parametrize("form", ["binary", "text"])
def test_copy(conn: Connection, form: str) -> None:
    conn.execute("CREATE TEMP TABLE copied (id int, doc multivector(3, float2))")
    byte = MultiVector([[1, 2, 3]], "int8")
    with conn.cursor().copy(f"COPY copied FROM STDIN (FORMAT {form})") as copy:
        copy.set_types(["int4", "multivector"])
        for row in enumerate([np.ones((2, 3)), None, byte]):
            copy.write_row(row)
    found = conn.execute("SELECT doc FROM copied ORDER BY id").fetchall()
    assert found == [(MultiVector(np.ones((2, 3))),), (None,), (MultiVector(byte, "float2"),)]
    with conn.cursor().copy(f"COPY copied TO STDOUT (FORMAT {form})") as copy:
        copy.set_types(["int4", "multivector"])
        assert list(copy.rows()) == [(n, *doc) for n, doc in enumerate(found)]


def test_psycopgs_pool(database: str) -> None:
    with psycopg_pool.ConnectionPool(
        f"dbname={database}", configure=colbert_pg.psycopg.register_multivector, open=True
    ) as pool:
        with pool.connection() as conn:
            row = conn.execute("SELECT %s", (MultiVector([[1.0]]),)).fetchone()
        assert row == (MultiVector([[1.0]]),)


async def test_asyncpgs_pool(database: str) -> None:
    async with asyncpg.create_pool(
        database=database, min_size=1, init=colbert_pg.asyncpg.register_multivector
    ) as pool:
        for _ in range(2):  # the second time after the pool has reset the connection
            assert await pool.fetchval("SELECT $1::multivector", np.ones((1, 2))) == MultiVector(
                [[1.0, 1.0]]
            )


def test_registering_leaves_no_transaction_open(database: str) -> None:
    with psycopg.connect(dbname=database) as conn:
        colbert_pg.psycopg.register_multivector(conn)
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
