"""Peewee: a table, values and searches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from peewee import SQL, IntegerField, Model, PostgresqlDatabase

from colbert_pg import MultiVector
from colbert_pg.peewee import MultiVectorField

RANDOM = np.random.default_rng(8)


class Note(Model):
    id = IntegerField(primary_key=True)
    doc = MultiVectorField(4, "float2", null=True)
    other = MultiVectorField(null=True)


Note.add_index(
    SQL("CREATE INDEX notes_doc ON note USING colbert_hnsw (doc) WITH (quantizer = 'sq4')")
)
Note.add_index(
    SQL("CREATE INDEX notes_l2 ON note USING colbert_ivf (doc multivector_l2_ops)"),
)
Note.add_index(
    SQL("CREATE INDEX notes_cosine ON note USING colbert_hnsw (doc multivector_cosine_ops)"),
)


@pytest.fixture
def db(database: str) -> Iterator[Any]:
    db: Any = PostgresqlDatabase(database, user=os.environ["PGUSER"], host=os.environ["PGHOST"])
    with db.bind_ctx([Note]), db.connection_context():
        db.drop_tables([Note])
        db.create_tables([Note])
        yield db


def tokens() -> npt.NDArray[np.float16]:
    return RANDOM.normal(size=(3, 4)).astype(np.float16)


def test_the_columns(db: Any) -> None:
    rows = db.execute_sql(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'note'::regclass AND attname IN ('doc', 'other') ORDER BY attnum"
    ).fetchall()
    assert rows == [("multivector(4,float2)",), ("multivector",)]
    with pytest.raises(ValueError, match="expected dims"):
        MultiVectorField(element="int8")


def test_bulk_update(db: Any) -> None:  # noqa: ARG001
    docs = [tokens(), None, tokens()]
    notes = [Note(id=i, doc=None if i else tokens()) for i in range(3)]
    Note.bulk_create(notes)
    for note, doc in zip(notes, docs, strict=True):
        note.doc = doc
    assert Note.bulk_update(notes, [Note.doc]) == 3  # type: ignore[no-untyped-call]
    found = [note.doc for note in Note.select().order_by(Note.id)]
    expected = [None if doc is None else MultiVector(doc) for doc in docs]
    assert found == expected


def test_there_and_back(db: Any) -> None:  # noqa: ARG001
    array, value = tokens(), MultiVector(tokens(), "int8")
    Note.create(id=1, doc=array, other=value)
    Note.insert_many([{"id": 2, "doc": array.tolist()}, {"id": 3, "doc": "[[1,2,3,4]]"}]).execute()
    notes = list(Note.select().order_by(Note.id))
    expected = [MultiVector(array), MultiVector(array), MultiVector([[1, 2, 3, 4]])]
    assert [note.doc for note in notes] == expected
    assert [note.other for note in notes] == [value, None, None]
    assert [note.id for note in Note.select().where(Note.doc == array)] == [1, 2]
    Note.update(doc=None).where(Note.id == 1).execute()
    assert Note.get_by_id(1).doc is None


@pytest.mark.parametrize("name", ["maxsim", "maxsim_cosine", "maxsim_l2"])
def test_a_search_uses_the_index(db: Any, name: str) -> None:
    Note.insert_many([{"id": n, "doc": tokens()} for n in range(300)]).execute()
    db.execute_sql("SET enable_seqscan = off")
    queries: list[Any] = [tokens(), MultiVector(tokens()), tokens().tolist()]
    for query in queries:
        score = getattr(Note.doc, name)(query)
        order = score.asc() if name == "maxsim_l2" else score.desc()
        statement: Any = Note.select(Note.doc, score.alias("score")).order_by(order).limit(5)
        sql, parameters = statement.sql()
        plan = db.execute_sql("EXPLAIN " + sql, parameters).fetchall()
        index = {"maxsim": "notes_doc", "maxsim_cosine": "notes_cosine", "maxsim_l2": "notes_l2"}
        assert any(f"Index Scan using {index[name]}" in line for (line,) in plan)
        scores = [note.score for note in statement]
        assert scores == sorted(scores, reverse=name != "maxsim_l2")
        assert isinstance(statement[0].doc, MultiVector)


def test_a_score_of_two_fields_and_a_threshold(db: Any) -> None:  # noqa: ARG001
    Note.create(id=1, doc=tokens(), other=tokens())
    assert Note.select(Note.doc.maxsim(Note.other)).scalar() is not None
    assert Note.select().where(Note.doc.maxsim(tokens()) > 1e6).count() == 0
