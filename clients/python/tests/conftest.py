"""Settings of hypothesis; databases on the server that PGHOST names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from fake_encoder import FakeEncoder
from hypothesis import HealthCheck, settings

# Tests that need more than the others: test/run-frameworks and test/run-browser.
collect_ignore = [
    folder
    for folder in ("browser", "frameworks")
    if not os.environ.get(f"COLBERT_{folder.upper()}")
]

QUICK = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.register_profile("quick", QUICK)
settings.register_profile("long", QUICK, max_examples=1000)
settings.load_profile("long" if os.environ.get("COLBERT_EXTRA") else "quick")


@pytest.fixture(scope="module")
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Create a database for a module, with the extension in it."""
    name = request.module.__name__
    with psycopg.connect(autocommit=True) as conn:
        conn.execute(f'CREATE DATABASE "{name}"')
        with psycopg.connect(dbname=name, autocommit=True) as inside:
            inside.execute("CREATE EXTENSION colbert_pg")
            create_vector(inside)
        yield name
        conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


def create_vector(conn: psycopg.Connection[Any]) -> None:
    """Create a type named as pgvector's, which need not be installed. It keeps any bytes."""
    conn.execute("""
        CREATE TYPE vector;
        CREATE FUNCTION vector_in(cstring) RETURNS vector
            LANGUAGE internal IMMUTABLE STRICT AS 'textin';
        CREATE FUNCTION vector_out(vector) RETURNS cstring
            LANGUAGE internal IMMUTABLE STRICT AS 'textout';
        CREATE FUNCTION vector_recv(internal) RETURNS vector
            LANGUAGE internal IMMUTABLE STRICT AS 'bytearecv';
        CREATE FUNCTION vector_send(vector) RETURNS bytea
            LANGUAGE internal IMMUTABLE STRICT AS 'byteasend';
        CREATE TYPE vector (
            INPUT = vector_in, OUTPUT = vector_out, RECEIVE = vector_recv, SEND = vector_send
        )
    """)
