"""Collections: what is written is found, by whatever connection, and by the index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import psycopg_pool
import pytest

from colbert_pg.collection import Collection
from colbert_pg.encoders import OnnxEncoder

TEXTS = [
    "Gout is treated with drugs that reduce the level of uric acid in the blood.",
    "The Amazon river carries more water than any other river on earth.",
    "A violin has four strings, and is played with a bow.",
    "Bread rises because yeast turns sugar into carbon dioxide.",
]
IDS = ["gout", "amazon", "violin", "bread"]
METADATA: list[dict[str, Any]] = [
    {"topic": "medicine", "n": 1},
    {"topic": "earth", "n": 2},
    {"topic": "music"},
    {},
]


@pytest.fixture(scope="module")
def encoder() -> OnnxEncoder:
    return OnnxEncoder.minilm(threads=1)


@pytest.fixture(params=["autocommit", "transaction", "pool"])
def conn(request: pytest.FixtureRequest, database: str) -> Iterator[Any]:
    if request.param == "pool":
        with psycopg_pool.ConnectionPool(f"dbname={database}", min_size=1, open=True) as pool:
            yield pool
        return
    autocommit = request.param == "autocommit"
    with psycopg.connect(dbname=database, autocommit=autocommit) as conn:
        yield conn


@pytest.fixture
def facts(conn: Any, encoder: OnnxEncoder) -> Iterator[Collection]:
    facts = Collection(conn, "facts", encoder)
    facts.create()
    facts.add(TEXTS, ids=IDS, metadata=METADATA)
    yield facts
    facts.drop()


def test_search(facts: Collection) -> None:
    hits = facts.search("medicine for a painful joint", 2)
    assert hits[0].id == "gout"
    assert (hits[0].text, hits[0].metadata, hits[0].doc) == (TEXTS[0], METADATA[0], None)
    assert hits[0].score > hits[1].score
    [river] = facts.search("medicine for a painful joint", where={"topic": "earth"}, doc=True)
    assert river.id == "amazon"
    assert river.doc is not None
    assert river.doc.element == "float2"
    found = facts.search("bow", where="metadata->>'topic' = %s", params=("music",))
    assert [hit.id for hit in found] == ["violin"]
    assert facts.explain("medicine for gout", hits[0]).matches[-1].document == "Gout"


def test_rows(facts: Collection) -> None:
    assert facts.count() == 4
    assert [record.id for record in facts.get(["violin", "none", "gout"])] == ["violin", "gout"]
    assert [record.id for record in facts.filter(where="metadata ? 'n'")] == ["amazon", "gout"]
    assert facts.delete(["gout"], where={"topic": "earth"}) == 0
    assert facts.delete(["gout"]) == 1
    assert facts.delete(where={"topic": "earth"}) == 1
    assert facts.count() == 2
    assert facts.index() == "facts_doc_idx"
    assert facts.search("bow", 1)[0].id == "violin"
