"""The examples of README.md that need more than the suite docs has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import fake_mteb
import fakes
import numpy as np
import psycopg
import pytest
from fake_encoder import FakeEncoder
from readme import README, examples, run_example

from colbert_pg.collection import Collection

EXAMPLES = examples("example")
TESTS = Path(__file__).parent

# runs the examples of Django, which has one configuration per process
DJANGO = """
import os, sys
import django
import numpy as np
from django.conf import settings

place = {
    key: os.environ[f"PG{name}"]
    for key, name in (("NAME", "DATABASE"), ("HOST", "HOST"), ("USER", "USER"))
}
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **place}},
    INSTALLED_APPS=["django.contrib.postgres", "notes_app"],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()
from django.db import connection, migrations, models

names = {"__name__": "notes_app.page", "migrations": migrations, "models": models}
names |= {"text": "gout", "array": np.eye(128)[:3], "query": np.eye(128)[:2]}
migration, model = sys.argv[1:]
exec(migration, names)
definition, uses = model.strip().split("\\n\\nPage.")
exec(definition, names)
with connection.schema_editor() as editor:
    names["Migration"].operations[0].database_forwards("notes_app", editor, None, None)
    editor.create_model(names["Page"])
create, search = uses.split("\\n")
exec("Page." + create, names)
[page] = eval(search, names)
print(page.body, page.score)
"""


@pytest.mark.parametrize(("code", "output"), EXAMPLES, ids=range(1, len(EXAMPLES) + 1))
def test_example(database: str, code: str, output: str) -> None:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("""
            DROP TABLE IF EXISTS items;
            CREATE TABLE items (id bigint PRIMARY KEY, doc multivector(3));
            INSERT INTO items VALUES (1, '[[1,2,3]]')
        """)
    run_example(database, code, output)


def blocks(mark: str) -> str:
    """Return the code of all blocks with a mark."""
    found = re.findall(rf"<!-- {mark} -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found
    return "\n".join(found)


def module(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    """Make a module of a library, and those above it."""
    parts = name.split(".")
    for last in range(1, len(parts) + 1):
        path = ".".join(parts[:last])
        monkeypatch.setitem(sys.modules, path, ModuleType(path))
    vars(sys.modules[name]).update(members)


def test_the_example_of_sentence_transformers(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has twelve lines, as that of the library's announcement."""
    code = blocks("sentence-transformers")
    assert len([line for line in code.splitlines() if line]) == 12

    def encoder(name: str) -> fakes.SentenceTransformers:
        assert name == "lightonai/LateOn"
        return fakes.SentenceTransformers()

    monkeypatch.setenv("PGDATABASE", database)
    module(monkeypatch, "sentence_transformers", MultiVectorEncoder=encoder)
    exec(code, {})
    assert capsys.readouterr().out.startswith("[('Drugs help in gout.',), (")


def test_the_example_of_colpali(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model, processor = fakes.ColQwen2(), fakes.ColQwen2Processor()
    pretrained = {model: SimpleNamespace(eval=lambda: model), processor: processor}
    library = {
        type(fake).__name__: SimpleNamespace(from_pretrained=lambda _name, loaded=loaded: loaded)
        for fake, loaded in pretrained.items()
    }
    page = fakes.Image("help in drugs", "in gout in")
    module(monkeypatch, "colpali_engine.models", **library)
    module(monkeypatch, "PIL", Image=SimpleNamespace(open=lambda _name: page))
    monkeypatch.chdir(tmp_path)
    exec(blocks("colpali"), {})
    assert capsys.readouterr().out.count(" -> ") >= 3
    assert "data:image/png" in (tmp_path / "page.html").read_text()


def test_the_example_of_a_cross_encoder(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(pairs: list[tuple[str, str]]) -> list[float]:
        return [-len(text) for _query, text in pairs]

    module(
        monkeypatch,
        "sentence_transformers",
        CrossEncoder=lambda _name: SimpleNamespace(predict=predict),
    )
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        notes = Collection(conn, "reranked", FakeEncoder())
        notes.create()
        notes.add(["gout gout gout", "gout", "gout gout"])
        names: dict[str, Any] = {"notes": notes, "question": "gout"}
        exec(blocks("cross-encoder"), names)
        assert [hit.text for hit in names["hits"]] == ["gout", "gout gout", "gout gout gout"]


def test_the_example_of_pylate(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []

    def encode(texts: list[str], *, is_query: bool) -> list[Any]:
        lengths = [4 if is_query else len(text.split()) for text in texts]
        return [np.eye(4, dtype=np.float32)[:length] for length in lengths]

    def retriever(index: Any) -> SimpleNamespace:
        def retrieve(queries: list[Any], k: int) -> None:
            found.extend(index(queries_embeddings=queries, k=k, subset=None))

        return SimpleNamespace(retrieve=retrieve)

    model = SimpleNamespace(encode=encode)
    module(monkeypatch, "pylate.models", ColBERT=lambda _name: model)
    module(monkeypatch, "pylate.retrieve", ColBERT=retriever)
    library = sys.modules["pylate"]
    monkeypatch.setattr(library, "models", sys.modules["pylate.models"], raising=False)
    monkeypatch.setattr(library, "retrieve", sys.modules["pylate.retrieve"], raising=False)
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        names = {"conn": conn, "ids": ["a", "b"], "texts": ["one", "one two three"]}
        exec(blocks("pylate"), names)
    assert [result["id"] for result in found[0]] == ["b", "a"]


def test_the_example_of_mteb(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[Any] = []
    fake_mteb.install(monkeypatch)
    library = sys.modules["mteb"]
    members = {
        "get_model": lambda _name: FakeEncoder(),
        "get_tasks": lambda names: names,
        "evaluate": lambda *arguments: evaluated.append(arguments),
    }
    for name, member in members.items():
        monkeypatch.setattr(library, name, member, raising=False)
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        exec(blocks("mteb"), {"conn": conn})
    [(search, tasks)] = evaluated
    assert (type(search).__name__, tasks) == ("ColbertSearch", ["NanoFiQA2018Retrieval"])


def test_the_examples_of_django(database: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DJANGO, blocks("migration of Django"), blocks("model of Django")],
        env={
            **os.environ,
            "PGDATABASE": database,
            "PYTHONPATH": f"{TESTS.parent / 'src'}{os.pathsep}{TESTS}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "gout 2.0\n")
