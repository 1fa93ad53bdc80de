"""SQLModel: columns, searches, JSON, and Alembic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orm import autogenerate, url
from pydantic import ValidationError
from sqlalchemy import Column, Engine, create_engine, inspect, text
from sqlmodel import Field, Session, SQLModel, desc, select

from colbert_pg import MultiVector
from colbert_pg.sqlalchemy import MULTIVECTOR, colbert_index

RANDOM = np.random.default_rng(6)


class Leaf(SQLModel, table=True):
    __table_args__ = (
        colbert_index("leaf_doc", "doc"),
        colbert_index("leaf_other", "other", method="colbert_ivf", quantizer="bit"),
    )
    id: int | None = Field(default=None, primary_key=True)
    doc: MultiVector = Field(sa_type=MULTIVECTOR(4, "float2"))
    other: Any = Field(default=None, sa_column=Column(MULTIVECTOR(4), nullable=True))


class Answer(SQLModel):
    """What an API takes and gives."""

    doc: MultiVector
    other: MultiVector | None = None


def tokens() -> MultiVector:
    return MultiVector(RANDOM.normal(size=(3, 4)), "float2")


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = create_engine(url("psycopg", database))
    SQLModel.metadata.drop_all(engine)
    yield engine
    engine.dispose()


def test_columns_and_a_search(engine: Engine) -> None:
    SQLModel.metadata.create_all(engine)
    docs = [tokens() for _ in range(50)]
    leaf: Any = Leaf
    with Session(engine) as session:
        session.add_all([Leaf(doc=doc, other=np.asarray(doc)) for doc in docs])
        session.commit()
        assert session.get_one(Leaf, 1).doc == session.get_one(Leaf, 1).other == docs[0]
        session.connection().execute(text("SET LOCAL enable_seqscan = off"))
        for column, index in ((leaf.doc, "leaf_doc"), (leaf.other, "leaf_other")):
            score = column.maxsim(docs[7]).label("score")
            statement = select(leaf.id, score).order_by(desc("score")).limit(3)
            best = session.exec(statement).all()
            assert best[0][1] == max(row[1] for row in best)
            compiled = statement.compile(engine, compile_kwargs={"literal_binds": True})
            plan = session.connection().execute(text(f"EXPLAIN {compiled}")).scalars().all()
            assert f"Index Scan using {index}" in "\n".join(plan)


def test_alembic_generates_columns_and_indexes(engine: Engine, tmp_path: Path) -> None:
    first, second = autogenerate(engine, "test_sqlmodel", "SQLModel", tmp_path)
    assert "colbert_pg.sqlalchemy.MULTIVECTOR(dims=4, element='float2'), nullable=False" in first
    assert "colbert_pg.sqlalchemy.MULTIVECTOR(dims=4), nullable=True" in first
    assert "op." not in second
    indexes = {index["name"]: index for index in inspect(engine).get_indexes("leaf")}
    assert set(indexes) == {"leaf_doc", "leaf_other"}
    options = indexes["leaf_other"]["dialect_options"]
    assert options["postgresql_with"] == {"quantizer": "bit"}


def test_json_there_and_back() -> None:
    answer = Answer(doc=tokens())
    assert Answer.model_validate_json(answer.model_dump_json()) == answer
    assert answer.model_dump()["doc"] is answer.doc
    assert answer.model_dump(mode="json") == {"doc": answer.doc.to_list(), "other": None}


def test_pydantic_takes_what_a_multivector_takes() -> None:
    for value in (np.ones((2, 3)), [[1, 1, 1], [1, 1, 1]], MultiVector(np.ones((2, 3)))):
        assert Answer.model_validate({"doc": value}).doc == MultiVector(np.ones((2, 3)))


@pytest.mark.parametrize(
    "value", [[], [[]], [[1], [1, 2]], [["x"]], [[float("nan")]], None, 3, "x", {"a": 1}, [[None]]]
)
def test_pydantic_refuses_what_is_no_multivector(value: Any) -> None:
    with pytest.raises(ValidationError, match="doc"):
        Answer.model_validate({"doc": value})


@pytest.mark.parametrize("value", ["[]", "[[]]", "[[1],[1,2]]", '[["x"]]', '"[[1]]"', "null"])
def test_pydantic_refuses_such_json(value: str) -> None:
    with pytest.raises(ValidationError, match="doc"):
        Answer.model_validate_json(f'{{"doc": {value}}}')


def test_the_schema_of_an_api() -> None:
    rows = {"items": {"items": {"type": "number"}, "type": "array"}, "type": "array"}
    for mode in ("validation", "serialization"):
        schema = Answer.model_json_schema(mode=mode)
        assert {**schema["properties"]["doc"], "title": None} == {**rows, "title": None}
