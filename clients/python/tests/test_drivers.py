"""Every driver passes and returns multivectors, and its searches use the index."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg2.extensions
import pytest
from drivers import DRIVERS, Asyncpg, Driver, Psycopg2
from pgvector import Vector
from strategies import ELEMENTS

from colbert_pg import Element, MultiVector

RANDOM = np.random.default_rng(5)
DIMS = 8
TABLE = f"""
    CREATE TABLE docs (id int PRIMARY KEY, doc multivector({DIMS}), many multivector[]);
    INSERT INTO docs
    SELECT i, (SELECT array_agg(ARRAY[{", ".join(f"sin(i * j + {k})" for k in range(DIMS))}])
               FROM generate_series(1, 5) AS j)::multivector
    FROM generate_series(1, 500) AS i;
    CREATE INDEX ON docs USING colbert_hnsw (doc);
    ANALYZE docs
"""


@pytest.fixture(params=DRIVERS, ids=[driver.name for driver in DRIVERS])
async def unregistered(request: pytest.FixtureRequest, database: str) -> AsyncIterator[Driver]:
    driver: Driver = request.param()
    await driver.connect(database)
    yield driver
    await driver.close()


@pytest.fixture
async def driver(unregistered: Driver) -> Driver:
    await unregistered.register()
    return unregistered


@pytest.fixture(scope="module", autouse=True)
def table(database: str) -> None:
    with psycopg2.connect(dbname=database) as conn, conn.cursor() as cursor:
        cursor.execute(TABLE)
    conn.close()


@pytest.fixture(autouse=True)
def _adapters() -> Iterator[None]:
    """Undo what a test registers in psycopg2, which is global."""
    before = dict(psycopg2.extensions.adapters)
    yield
    psycopg2.extensions.adapters.clear()
    psycopg2.extensions.adapters.update(before)


def tokens(ntokens: int = 3, dtype: str = "f4") -> npt.NDArray[Any]:
    return RANDOM.normal(size=(ntokens, DIMS)).astype(dtype)


@pytest.mark.parametrize("element", ELEMENTS)
async def test_there_and_back(driver: Driver, element: Element) -> None:
    value = MultiVector(tokens(66), element)
    statement = f"SELECT $1::multivector::multivector({DIMS}, {element})"
    [(back,)] = await driver.execute(statement, value)
    assert (type(back), back) == (MultiVector, value)
    [(sent,)] = await driver.execute(f"SELECT multivector_send(({statement}))", value)
    assert bytes(sent) == value.to_binary()


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8"])
async def test_arrays_of_two_dimensions(driver: Driver, dtype: str) -> None:
    array = tokens(dtype=dtype)
    await driver.execute("UPDATE docs SET doc = $1 WHERE id = 1", array)
    [(back,)] = await driver.execute("SELECT doc FROM docs WHERE id = 1")
    assert np.array_equal(np.asarray(back), array.astype(np.float32))


@pytest.mark.parametrize("setting", ["on", "off"])
async def test_any_form_of_strings(driver: Driver, setting: str) -> None:
    await driver.execute(f"SET standard_conforming_strings = {setting}")
    value = MultiVector(tokens(), "int8")
    assert await driver.execute("SELECT $1::multivector", value) == [(value,)]


async def test_text(driver: Driver) -> None:
    [(back,)] = await driver.execute("SELECT $1::multivector", "[[1,2]]")
    assert back == MultiVector([[1.0, 2.0]])


@pytest.mark.parametrize("element", ELEMENTS)
async def test_hex_output(driver: Driver, element: Element) -> None:
    """A value, an array and a nested array, with a server that writes the hex form as text."""
    a, b = MultiVector(tokens(), element), MultiVector(tokens(1), element)
    await driver.execute("SET colbert.multivector_output = hex")
    cast = f"multivector({DIMS}, {element})"
    [(one, some, nested)] = await driver.execute(
        f"SELECT d, ARRAY[d, NULL, e], ARRAY[ARRAY[d, e], ARRAY[e, NULL]] "
        f"FROM (SELECT $1::{cast} AS d, $2::{cast} AS e) AS s",
        a,
        b,
    )
    assert (one.to_binary(), one.element) == (a.to_binary(), element)
    assert (some, nested) == ([a, None, b], [[a, b], [b, None]])
    [(text,)] = await driver.execute("SELECT $1::multivector::text", a)
    assert text == "\\x" + MultiVector.from_text(text).to_binary().hex()


async def test_null(driver: Driver) -> None:
    await driver.execute("UPDATE docs SET doc = $1 WHERE id = 2", None)
    assert await driver.execute("SELECT doc FROM docs WHERE id = 2") == [(None,)]


async def test_lists_of_multivectors(driver: Driver) -> None:
    values = [MultiVector(tokens()), None, MultiVector(tokens(1), "int8")]
    await driver.execute("UPDATE docs SET many = $1 WHERE id = 3", values)
    assert await driver.execute("SELECT many FROM docs WHERE id = 3") == [(values,)]
    [(number,)] = await driver.execute("SELECT count(*) FROM unnest($1::multivector[])", values)
    assert number == 3
    await driver.execute("UPDATE docs SET many = $1 WHERE id = 3", [])
    assert await driver.execute("SELECT many FROM docs WHERE id = 3") == [([],)]


async def test_results_that_are_nested_arrays(driver: Driver) -> None:
    a, b = MultiVector([[1.0]]), MultiVector([[2.0]])
    [(nested,)] = await driver.execute("SELECT '{{[[1]],[[2]]},{NULL,[[1]]}}'::multivector[]")
    assert nested == [[a, b], [None, a]]
    [(shifted,)] = await driver.execute("SELECT '[0:1]={[[1]],[[2]]}'::multivector[]")
    assert shifted == [a, b]


async def uses_the_index(driver: Driver, query: str, parameter: Any) -> bool:
    await driver.execute("SET enable_seqscan = off")
    select = f"SELECT id FROM docs ORDER BY maxsim(doc, {query}) DESC NULLS LAST LIMIT 3"
    plan = await driver.execute("EXPLAIN (COSTS OFF) " + select, parameter)
    assert len(await driver.execute(select, parameter)) == 3
    return any("Index Scan using docs_doc_idx" in line for (line,) in plan)


async def test_a_search_uses_the_index(driver: Driver) -> None:
    for parameter in (MultiVector(tokens()), MultiVector(tokens(), "int8"), tokens()):
        assert await uses_the_index(driver, "$1", parameter)


async def test_a_search_without_registering_uses_the_index(unregistered: Driver) -> None:
    """By text, by text as of an array, by the binary format and by an array of numbers."""
    array = tokens()
    text = json.dumps(array.tolist())
    assert await uses_the_index(unregistered, "$1", text)
    assert await uses_the_index(unregistered, "$1", text.replace("[", "{").replace("]", "}"))
    value = MultiVector(array).to_binary()
    assert await uses_the_index(unregistered, "multivector($1::bytea)", value)
    assert await uses_the_index(unregistered, "$1::bytea::multivector", value)
    raw = f"multivector($1::bytea, {DIMS})"
    assert await uses_the_index(unregistered, raw, array.tobytes())
    for type_ in ("real[]", "double precision[]", "numeric[]"):
        if type_ == "numeric[]" and isinstance(unregistered, Asyncpg):
            continue  # asks for Decimal
        assert await uses_the_index(unregistered, f"$1::{type_}::multivector", array.tolist())


async def test_a_threshold(driver: Driver) -> None:
    statement = "SELECT id FROM docs WHERE maxsim(doc, $1) > 9 ORDER BY maxsim(doc, $2) DESC"
    query = MultiVector(np.ones((3, DIMS)))
    await driver.execute("SET enable_seqscan = off")
    plan = await driver.execute("EXPLAIN " + statement, query, query)
    assert any("Index Scan" in line for (line,) in plan)


@pytest.mark.parametrize("first", ["ours", "pgvector's"])
async def test_with_pgvector(unregistered: Driver, first: str) -> None:
    order = [unregistered.register, unregistered.register_vector]
    for register in order if first == "ours" else reversed(order):
        await register()
    driver = unregistered
    matrix, vector = tokens(), np.array([0.5, 2], np.float32)
    [(back,)] = await driver.execute("SELECT $1::multivector", matrix)
    assert back == MultiVector(matrix)
    # both kinds again, in the order in which a driver might keep the wrong adapter
    for value in (vector, Vector([0.5, 2]), vector):
        [(sent,)] = await driver.execute("SELECT vector_send($1::vector)", value)
        assert bytes(sent) in {Vector(vector).to_binary(), Vector(vector).to_text().encode()}
        [(rows,)] = await driver.execute("SELECT num_tokens($1::multivector)", matrix)
        assert rows == len(matrix)


async def test_with_pgvector_registered_twice(unregistered: Driver) -> None:
    for _ in range(2):
        await unregistered.register()
        await unregistered.register_vector()
    [(sent,)] = await unregistered.execute("SELECT vector_send($1::vector)", np.array([0.5, 2]))
    assert sent
    [(rows,)] = await unregistered.execute("SELECT num_tokens($1::multivector)", tokens())
    assert rows == 3


@pytest.mark.parametrize("array", [np.ones(3), np.ones((1, 2, 3))], ids=["1", "3"])
async def test_other_arrays_are_refused(driver: Driver, array: npt.NDArray[Any]) -> None:
    if isinstance(driver, Psycopg2):
        psycopg2.extensions.adapters.pop((np.ndarray, psycopg2.extensions.ISQLQuote))
        await driver.register()
    with pytest.raises(Exception, match=f"2 dimensions.*not {array.ndim}"):
        await driver.execute("SELECT $1::multivector", array)


async def test_other_dims_are_the_servers_to_refuse(driver: Driver) -> None:
    with pytest.raises(Exception, match="expected 8 dimensions, not 1"):
        await driver.execute(
            "UPDATE docs SET doc = $1 WHERE id = 4", [[0.5]] and MultiVector([[0.5]])
        )


@pytest.mark.parametrize("cls", DRIVERS, ids=[driver.name for driver in DRIVERS])
async def test_without_the_extension(cls: type[Driver]) -> None:
    driver = cls()
    await driver.connect("template1")
    with pytest.raises(Exception, match="run CREATE EXTENSION colbert_pg"):
        await driver.register()
    await driver.close()


async def test_elsewhere_in_the_search_path(unregistered: Driver, database: str) -> None:
    admin = psycopg2.connect(dbname=database)
    admin.autocommit = True
    cursor = admin.cursor()
    cursor.execute("CREATE SCHEMA elsewhere; ALTER EXTENSION colbert_pg SET SCHEMA elsewhere")
    try:
        await unregistered.execute("SET search_path = public, elsewhere")
        await unregistered.register()
        value = MultiVector(tokens())
        assert await unregistered.execute("SELECT $1::multivector", value) == [(value,)]
    finally:
        cursor.execute("ALTER EXTENSION colbert_pg SET SCHEMA public; DROP SCHEMA elsewhere")
        admin.close()
