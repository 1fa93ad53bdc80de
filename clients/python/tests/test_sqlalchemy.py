"""SQLAlchemy with each driver, and Alembic."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from orm import autogenerate, url
from sqlalchemy import (
    Column,
    Engine,
    Index,
    MetaData,
    Select,
    Table,
    create_engine,
    desc,
    event,
    func,
    inspect,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from colbert_pg import MultiVector
from colbert_pg.sqlalchemy import MULTIVECTOR, colbert_index

RANDOM = np.random.default_rng(4)
DRIVERS = ("psycopg", "psycopg2", "pg8000")


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    __table_args__ = (
        colbert_index("notes_doc", "doc"),
        colbert_index(
            "notes_cosine",
            "doc",
            method="colbert_ivf",
            opclass="multivector_cosine_ops",
            quantizer="bit",
            probes=20,
        ),
        colbert_index("notes_l2", "doc", opclass="multivector_l2_ops"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    doc: Mapped[Any] = mapped_column(MULTIVECTOR(4, "float2"), nullable=True)
    other: Mapped[Any] = mapped_column(MULTIVECTOR(), nullable=True)


@pytest.fixture(params=DRIVERS)
def engine(request: pytest.FixtureRequest, database: str) -> Iterator[Engine]:
    engine = create_engine(url(request.param, database))
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def tokens(count: int = 3) -> npt.NDArray[np.float16]:
    return RANDOM.normal(size=(count, 4)).astype(np.float16)


def fill(session: Session, count: int = 300) -> None:
    session.add_all([Note(id=n, doc=tokens(), other=MultiVector(tokens())) for n in range(count)])
    session.commit()


def test_there_and_back(engine: Engine) -> None:
    array, value = tokens(), MultiVector(tokens(), "int8")
    with Session(engine) as session:
        session.add(Note(id=1, doc=array, other=value))
        session.add(Note(id=2, doc=array.tolist(), other=None))
        session.add(Note(id=3, doc="[[1,2,3,4]]", other=None))
        session.commit()
        notes = session.scalars(select(Note).order_by(Note.id)).all()
        assert notes[0].doc == MultiVector(array)
        assert (notes[0].other, notes[1].other) == (value, None)
        assert notes[2].doc == MultiVector([[1, 2, 3, 4]])


def test_arrays(engine: Engine) -> None:
    register = importlib.import_module(f"colbert_pg.{engine.driver}").register_multivector
    event.listen(engine, "connect", lambda connection, _: register(connection))
    engine.dispose()
    first, second = MultiVector(tokens()), MultiVector(tokens())
    table = Table("arrays", MetaData(), Column("docs", ARRAY(MULTIVECTOR(4, "float2"))))
    table.drop(engine, checkfirst=True)
    table.create(engine)
    with engine.begin() as conn:
        for docs in ([first, second.to_list()], [], None):
            conn.execute(table.insert(), {"docs": docs})
        assert conn.scalars(select(table.c.docs)).all() == [[first, second], [], None]


def plan_of(session: Session, statement: Select[Any]) -> str:
    """Return the plan, once the statement has run as the driver runs it."""
    session.execute(text("SET enable_seqscan = off"))
    seen: list[tuple[str, Any]] = []

    def explain(_conn: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        seen.append((sql, parameters))
        return "EXPLAIN (COSTS OFF) " + sql, parameters

    assert session.execute(statement).all()
    connection = session.connection()
    event.listen(connection, "before_cursor_execute", explain, retval=True)
    lines = connection.execute(statement).all()
    event.remove(connection, "before_cursor_execute", explain)
    assert seen
    return "\n".join(str(line[0]) for line in lines)


Scored = Callable[[Any], Any]


@pytest.mark.parametrize(
    ("order", "index"),
    [
        (lambda q: Note.doc.maxsim(q).desc(), "notes_doc"),
        (lambda q: Note.doc.maxsim_cosine(q).desc(), "notes_cosine"),
        (lambda q: Note.doc.maxsim_l2(q).asc(), "notes_l2"),
    ],
)
def test_an_order_by_a_score_uses_the_index(engine: Engine, order: Scored, index: str) -> None:
    with Session(engine) as session:
        fill(session)
        for query in (tokens(), MultiVector(tokens()), tokens().tolist()):
            plan = plan_of(
                session, select(func.length("x")).select_from(Note).order_by(order(query)).limit(5)
            )
            assert f"Index Scan using {index}" in plan


def test_an_order_by_a_label_uses_the_index(engine: Engine) -> None:
    with Session(engine) as session:
        fill(session)
        query = tokens()
        score = Note.doc.maxsim(query).label("score")
        statement = select(func.concat(Note.id), score).order_by(desc("score")).limit(5)
        assert "Index Scan using notes_doc" in plan_of(session, statement)
        scores = [row.score for row in session.execute(statement)]
        every = session.scalars(select(Note.doc.maxsim(query)).order_by(desc(score))).all()
        assert scores == list(every[:5])


def test_a_query_of_the_database(engine: Engine) -> None:
    with Session(engine) as session:
        fill(session, 10)
        row = session.execute(select(Note.doc.maxsim(Note.doc)).limit(1)).scalar_one()
        assert row > 0
        one = select(Note.doc).where(Note.id == 1).scalar_subquery()
        best = session.scalars(select(Note.id).order_by(Note.doc.maxsim_l2(one))).first()
        assert best == 1


def test_equality_and_a_threshold(engine: Engine) -> None:
    with Session(engine) as session:
        fill(session, 10)
        doc = session.get_one(Note, 3).doc
        assert session.scalars(select(Note.id).where(Note.doc == doc)).all() == [3]
        assert session.scalars(select(Note.id).where(Note.doc == np.asarray(doc))).all() == [3]
        assert session.scalars(select(Note.id).where(Note.doc.maxsim(doc) > 1e6)).all() == []
        assert session.scalars(select(Note.id).where(Note.doc.is_(None))).all() == []


def test_an_equal_value_is_no_change(engine: Engine) -> None:
    with Session(engine) as session:
        fill(session, 2)
        note = session.get_one(Note, 1)
        note.doc = np.asarray(note.doc).copy()
        assert not session.is_modified(note)
        note.doc = tokens()
        assert session.is_modified(note)
        session.commit()


def test_literals(engine: Engine) -> None:
    value = MultiVector(tokens(), "int8")
    statement = select(literal(value, MULTIVECTOR()).label("value"))
    compiled = str(statement.compile(engine, compile_kwargs={"literal_binds": True}))
    with engine.connect() as conn:
        found = conn.execute(text(compiled).columns(value=MULTIVECTOR())).scalar_one()
    assert found == value


def test_reflection(engine: Engine) -> None:
    table = Table("notes", MetaData(), autoload_with=engine)
    doc, other = table.c.doc.type, table.c.other.type
    assert isinstance(doc, MULTIVECTOR)
    assert isinstance(other, MULTIVECTOR)
    assert (doc.dims, doc.element, other.dims) == (4, "float2", None)
    indexes = {index["name"]: index for index in inspect(engine).get_indexes("notes")}
    options = indexes["notes_cosine"]["dialect_options"]
    assert options["postgresql_using"] == "colbert_ivf"
    assert options["postgresql_with"] == {"quantizer": "bit", "probes": "20"}


@pytest.mark.parametrize(
    ("arguments", "spec"),
    [
        ((), "MULTIVECTOR"),
        ((128,), "MULTIVECTOR(128)"),
        ((128, "int8"), "MULTIVECTOR(128, int8)"),
    ],
)
def test_declarations(arguments: Any, spec: str) -> None:
    type_ = MULTIVECTOR(*arguments)
    assert type_.get_col_spec() == spec
    assert eval(repr(type_)).get_col_spec() == spec


def test_an_element_needs_dims() -> None:
    with pytest.raises(ValueError, match="expected dims"):
        MULTIVECTOR(element="float2")


def test_an_index_of_a_column() -> None:
    index = colbert_index("i", Note.doc, opclass="multivector_l2_ops", m=8)
    assert isinstance(index, Index)
    assert index.dialect_options["postgresql"]["ops"] == {"doc": "multivector_l2_ops"}
    Note.__table__.indexes.discard(index)  # type: ignore[attr-defined]


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_asynchronous_sessions(driver: str, database: str) -> None:
    engine = create_async_engine(url(driver, database))
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.drop_all)
        await conn.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        await session.run_sync(fill)
        score = Note.doc.maxsim(tokens()).label("score")
        statement = select(func.concat(Note.id), score).order_by(desc("score")).limit(5)
        assert "Index Scan using notes_doc" in await session.run_sync(plan_of, statement)
        note = (await session.scalars(select(Note).limit(1))).one()
        assert isinstance(note.doc, MultiVector)
    await engine.dispose()


def test_alembic_generates_the_column_and_its_indexes(database: str, tmp_path: Path) -> None:
    engine = create_engine(url("psycopg", database))
    Base.metadata.drop_all(engine)
    first, second = autogenerate(engine, "test_sqlalchemy", "Base", tmp_path)
    assert "colbert_pg.sqlalchemy.MULTIVECTOR(dims=4, element='float2')" in first
    assert "op." not in second
    definitions = {index["name"] for index in inspect(engine).get_indexes("notes")}
    assert definitions == {"notes_doc", "notes_cosine", "notes_l2"}
    engine.dispose()
