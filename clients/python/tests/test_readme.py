"""The examples of README.md that need more than the suite docs has."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import fakes
import psycopg
import pytest
from readme import README, examples, run_example

EXAMPLES = examples("example")


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
