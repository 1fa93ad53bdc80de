"""The command colbert-pg: as processes, its options, and its errors."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from words import Words

from colbert_pg import MultiVector
from colbert_pg.__main__ import main
from colbert_pg.commands import common
from colbert_pg.commands.embed import name_of
from colbert_pg.encoders import make_encoder

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
COMMANDS = re.compile(
    r"<!-- commands -->\n```sh\n(.*?)```\n<!-- output -->\n```\n(.*?)```", re.DOTALL
)
NUMBER = re.compile(r"\d+\.\d+")  # the last digit depends on the processor
LINES: list[dict[str, Any]] = [
    {"id": "gout", "text": "Gout is treated with drugs.", "metadata": {"topic": "medicine"}},
    {"id": "violin", "text": "A violin is played\nwith a bow.\x1b[31m"},
    {"id": 7, "text": "The Amazon river carries water.", "metadata": {"topic": "earth"}},
]
TABLE = ["--table", "facts", "--encoder", "words"]


@pytest.fixture(scope="module")
def env(database: str) -> dict[str, str]:
    return {**os.environ, "PGDATABASE": database, "PYTHONPATH": str(SOURCE), "COLUMNS": "60"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    lines = "".join(json.dumps(line) + "\n\n" for line in LINES)
    (folder / "facts.jsonl").write_text(lines)
    (folder / "queries.txt").write_text("medicine for gout\n\na bow\n")
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, database: str) -> Any:
    """Return a function that runs a command in this process: status, output and errors.

    It has an encoder of a further kind, words, which takes no time.
    """
    monkeypatch.setattr(
        common, "make_encoder", lambda spec: Words() if spec == "words" else make_encoder(spec)
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main([arguments[0], "--dsn", f"dbname={database}", *arguments[1:]])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        yield conn


def test_the_readme(env: dict[str, str], tmp_path: Path) -> None:
    """The commands of README.md, each a process, by a shell that stops at the first failure."""
    [(commands, output)] = COMMANDS.findall((ROOT / "README.md").read_text())
    script = tmp_path / "colbert-pg"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m colbert_pg "$@"\n')
    script.chmod(0o755)
    done = subprocess.run(
        ["sh", "-ec", commands],
        cwd=tmp_path,
        env={**env, "PATH": f"{tmp_path}:{env['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert NUMBER.sub("N", done.stdout) == NUMBER.sub("N", output)


def test_a_tour(run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load, index, search, explain and tune, with their options."""

    def done(*arguments: str) -> str:
        status, out, err = run(*arguments)
        assert (status, err) == (0, "")
        return str(out)

    monkeypatch.setenv("COLUMNS", "60")
    assert done("load", str(folder / "facts.jsonl"), *TABLE) == "3 rows written\n"
    more = '{"id": "gout", "text": "?"}\n{"id": "b", "text": "Bread."}'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(more.encode())))
    assert done("load", "-", *TABLE, "--on-conflict", "skip") == "1 rows written\n"
    method = ["--method", "colbert_ivf", "--with", "lists=2", "--with", "quantizer=bit"]
    assert done("index", "--table", "facts", *method, "--concurrently") == "facts_doc_idx\n"
    header, first, second = done("search", "a bow", *TABLE, "--limit", "2").splitlines()
    assert header == "   score  id      text"
    assert first.endswith("  violin  A violin is played with a bow.\N{REPLACEMENT CHARACTER}[31m")
    assert len(second) <= 60
    found = done("search", "a bow", *TABLE, "--json", "--metadata", '{"topic": "earth"}')
    hit = json.loads(found)
    assert hit.pop("score") < 2
    assert hit == {"id": "7", "text": LINES[2]["text"], "metadata": LINES[2]["metadata"]}
    explained = done("explain", "a bow", *TABLE, "--color", "always")
    assert "\x1b[30;48;5;208m" in explained
    assert "  bow -> bow\n" in explained
    assert done("explain", "a", *TABLE, "--id", "7", "--html", str(folder / "page.html")) == ""
    assert "river" in (folder / "page.html").read_text()
    queries = ["--queries", str(folder / "queries.txt"), "--encoder", "words"]
    tuned = done("tune", "facts_doc_idx", *queries).splitlines()
    names = ["target", "probes", "ef_search", "candidates", "rerank", "recall", "ms", "chosen"]
    assert tuned[0].split() == names
    assert tuned[-1].startswith("ALTER INDEX facts_doc_idx ")
    assert done("tune", "facts_doc_idx", *queries, "--apply").count("yes") == 1


def test_tuning_partitions(run: Any, folder: Path, conn: psycopg.Connection[Any]) -> None:
    """A row and a statement per partition."""
    conn.execute("CREATE TABLE parts (id int, doc multivector(16)) PARTITION BY HASH (id)")
    for i in range(2):
        conn.execute(
            f"CREATE TABLE parts_{i} PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER {i})"
        )
    docs = Words().encode([f"a bow {i} gout" for i in range(20)], query=False)
    for i, doc in enumerate(docs):
        conn.execute("INSERT INTO parts VALUES (%s, %s::text::multivector)", (i, doc.to_text()))
    conn.execute("CREATE INDEX parts_doc ON parts USING colbert_hnsw (doc)")
    queries = ["--queries", str(folder / "queries.txt"), "--encoder", "words"]
    status, out, _ = run("tune", "parts_doc", *queries, "--recall", "0.5")
    lines = out.splitlines()
    assert status == 0
    assert lines[0].endswith("  partition")
    assert [line.split()[-1] for line in lines[-4:-2]] == ["parts_0_doc_idx", "parts_1_doc_idx"]
    assert [line.split()[2] for line in lines[-2:]] == ["parts_0_doc_idx", "parts_1_doc_idx"]
    conn.execute("DROP TABLE parts")


def test_full_text(run: Any, folder: Path) -> None:
    path = folder / "titles.jsonl"
    rows = [
        {"id": "x7", "text": "Filters of steel.", "metadata": {"title": "Pump X7"}},
        {"id": "x8", "text": "Filters of paper.", "metadata": {"title": "Pump X8"}},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = ["--table", "titles", "--encoder", "words"]
    status, out, err = run("load", str(path), *table, "--full-text", "english", "--title", "title")
    assert (status, out, err) == (0, "2 rows written\n", "")
    status, out, _ = run("search", "x8 filter", "--table", "titles", "--mode", "text", "--json")
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["x8", "x7"]
    hybrid = ["search", "x8 filters", *table, "--mode", "hybrid", "--json"]
    status, out, _ = run(*hybrid, "--weight", "0.3", "--metadata", '{"title": "Pump X7"}')
    [hit] = map(json.loads, out.splitlines())
    assert set(hit) == {"id", "text", "metadata", "score", "maxsim", "bm25f"}
    (folder / "ranker.json").write_text('{"weights": [-1], "features": ["bm25f"]}')
    status, out, _ = run(*hybrid, "--ranker", str(folder / "ranker.json"))
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["x7", "x8"]
    (folder / "none.jsonl").write_text("\n")
    none = ["load", str(folder / "none.jsonl"), "--table", "nothing", "--encoder", "words"]
    assert run(*none, "--full-text", "english") == (0, "0 rows written\n", "")


def test_arrays(run: Any, folder: Path, conn: psycopg.Connection[Any]) -> None:
    docs: dict[str, Any] = {
        f"doc {n}": np.random.default_rng(n).normal(size=(3, 4)) for n in range(5)
    }
    np.savez(folder / "docs.npz", **docs)
    table = ["--table", "arrays", "--element", "float4", "--metadata-column", "", "--batch", "2"]
    status, out, err = run("load", str(folder / "docs.npz"), *table, "--progress")
    assert (status, out) == (0, "5 rows written\n")
    assert err.splitlines()[-1] == "5 rows done, 5 written"
    rows = conn.execute("SELECT id, multivector_send(doc) FROM arrays").fetchall()
    assert {key: MultiVector.from_binary(doc) for key, doc in rows} == {
        key: MultiVector(doc.astype(np.float32)) for key, doc in docs.items()
    }
    assert run("load", str(folder / "docs.npz"), *table, "--on-conflict", "replace")[0] == 0
    np.savez(folder / "bad.npz", good=np.ones((1, 4)), bad=np.full((1, 4), np.nan))
    assert run("load", str(folder / "bad.npz"), *table)[2].endswith(
        "bad.npz: bad: expected finite numbers, not nan (token 1, dim 1)\n"
    )
    np.savez(folder / "objects.npz", a=np.array([[1, "a"]], dtype=object))
    assert "allow_pickle=False" in run("load", str(folder / "objects.npz"), *table)[2]
    with (folder / "one.npz").open("wb") as file:
        np.save(file, np.ones((1, 4)))
    assert "expected an archive" in run("load", str(folder / "one.npz"), *table)[2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "expected an object, not list"),
        ("{", "Expecting property name"),
        ('{"id": 1}', "expected a string as text"),
        ('{"text": "a"}', "expected a string or an integer as id"),
        ('{"id": 1, "text": "a", "title": "b"}', "expected id, text and metadata, not title"),
        ('{"id": 1, "text": "a", "metadata": []}', "expected an object as metadata"),
        ('{"id": 1, "text": "\\u200b"}', "expected a word"),
        (f'{{"id": 1, "text": "{"bow " * 300}"}}', "expected at most 50 tokens, not 300"),
        ('{"id": 1, "text": "\\u0000"}', "expected no character NUL"),
        ('{"id": 1, "text": "a", "metadata": {"b": "\\u0000"}}', "metadata: expected no character"),
        ('{"id": 1, "text": "a", "metadata": {"b": NaN}}', "metadata: Out of range"),
        pytest.param("[" * 100_000, "nested too deep", id="deep"),
    ],
)
def test_a_bad_line_is_named(run: Any, folder: Path, line: str, message: str) -> None:
    """The batches before it are written, and the line is named."""
    path = folder / "bad.jsonl"
    path.write_text('{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n\n' + line + "\n")
    table = ["--table", "bad", "--encoder", "words", "--batch", "2"]
    status, out, err = run("load", str(path), *table, "--on-conflict", "replace")
    assert (status, out) == (1, "")
    assert (
        f"2 rows are done: --on-conflict skip goes on after them\ncolbert-pg: error: {path}:4: "
        in err
    )
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["index", "--table", "none"], 'relation "none" does not exist (SQLSTATE 42P01)\n'),
        (["index", "--table", "a", "--with", "b"], "expected --with NAME=VALUE, not 'b'\n"),
        (["search", "a", "--table", "b", "--encoder", "minilm:x=1"], "has no option 'x'"),
        (["search", "a", "--table", "b", "--encoder", "onnx:a,b"], "encoder onnx:a,b: "),
        (["search", "a", *TABLE, "--metadata", "[]"], "--metadata: expected an object, not []\n"),
        (["search", "a", *TABLE, "--metadata", "{"], "--metadata: Expecting"),
        (["search", "\udce9", "--table", "a", "--encoder", "minilm"], "text 1: expected Unicode"),
        (["search", "a", *TABLE, "--limit", "-1"], "expected limit of at least 0, not -1\n"),
        (["explain", "a", *TABLE, "--id", "a", "--where", "b"], "expected --id, or a condition"),
        (["load", "absent.jsonl", *TABLE], "No such file or directory: 'absent.jsonl'\n"),
        (["search", "a", "--table", "b"], "expected --encoder\n"),
        (["search", "a", *TABLE, "--weight", ".1"], "expected weight only with mode hybrid"),
        (["search", "a", "--table", "none", "--mode", "text"], 'relation "none" does not exist'),
        (["load", "absent.jsonl", *TABLE, "--title", "a"], "--title only with --full-text\n"),
        (["load", "absent.jsonl", "--table", "a"], "expected --encoder for a file of texts\n"),
        (["load", "a.npz", "--table", "a", "--batch", "0"], "--batch of at least 1, not 0\n"),
        (["embed", "--table", "a"], "expected --encoder, --install, --uninstall or --status\n"),
        (["embed", "--table", "a", "--install"], 'table "a" not found\n'),
        (["embed", "--table", "a", "--encoder", "words", "--batch", "0"], "batch of at least 1"),
        (["embed", "--table", "a", "--chunk-size", "500", "--status"], "expected chunks beside"),
        (
            ["embed", "--table", "a", "--chunks", "b", "--encoder", "minilm:too_long=truncate"],
            "expected an encoder without too_long=truncate beside --chunks\n",
        ),
    ],
)
def test_errors(run: Any, arguments: list[str], message: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (1, "")
    assert err.startswith("colbert-pg: error: ")
    assert message in err


def test_existing_ids_and_conditions(run: Any, conn: psycopg.Connection[Any], folder: Path) -> None:
    path = folder / "pages.jsonl"
    path.write_text('{"id": "1", "text": "gout"}\n{"id": "2", "text": "100% bread"}\n')
    table = ["--table", "pages", "--encoder", "words"]
    assert run("load", str(path), *table)[0] == 0
    assert "rows with these ids already: '1', '2'" in run("load", str(path), *table)[2]
    found = run("search", "a", *table, "--json", "--where", "body LIKE '100%'")[1]
    assert json.loads(found)["id"] == "2"
    assert "no row of table pages" in run("explain", "a", *table, "--where", "false")[2]
    assert "no row of id '3'" in run("explain", "a", *table, "--id", "3")[2]
    status, out, _ = run("explain", "gout", *table)
    assert (status, out.splitlines()[0]) == (0, "gout")
    conn.execute("DROP TABLE pages")


def test_embed(run: Any, conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE TABLE notes (id int PRIMARY KEY, note text, vectors multivector(16))")
    conn.execute("INSERT INTO notes VALUES (1, 'one'), (2, ''), (3, 'three')")
    table = ["--table", "notes", "--text", "note", "--column", "vectors"]
    words = ["--encoder", "words", "--encoder-name", "words 1"]
    assert run("embed", *table, "--install") == (0, "", "")
    status, out, err = run("embed", *table, *words, "--workers", "2", "--progress")
    assert (status, out) == (1, "2 rows embedded, 2 multivectors written\n")
    assert "id = 2: expected a word\n" in err
    assert "3 of 3 rows done\n" in err
    assert err.endswith("colbert-pg: error: 1 rows failed\n")
    conn.execute("UPDATE notes SET note = 'two' WHERE id = 1")
    assert run("embed", *table, "--status")[1].splitlines() == [
        "encoder: words 1 (16 dims)",
        "triggers: installed",
        'queue: "public"."colbert_pg_embed_1"',
        "waiting: 1",
        "failed: 1",
        "  id = 2: expected a word",
    ]
    assert run("embed", *table, *words)[:2] == (0, "1 rows embedded, 1 multivectors written\n")
    assert run("embed", *table, *words, "--all", "--retry-failed")[0] == 1
    chunks = ["--chunks", "parts", "--chunk-size", "9", "--overlap", "0", "--element", "int8"]
    conn.execute("UPDATE notes SET note = 'a word and two' WHERE id = 1")
    assert run("embed", *table, "--encoder", "words", *chunks)[1] == (
        "2 rows embedded, 3 multivectors written\n"
    )
    assert "encoder: words (16 dims), chunks of 9" in run("embed", *table, *chunks, "--status")[1]
    for options in (chunks, []):
        assert run("embed", *table, *options, "--uninstall") == (0, "", "")
    assert "nothing is embedded" in run("embed", *table, "--status")[2]
    conn.execute("DROP TABLE notes, parts")


def test_the_name_of_an_encoder() -> None:
    """It is without options that do not change the result."""
    assert name_of("minilm") == "minilm"
    assert name_of("minilm:threads=2,window=99,batch_size=4") == "minilm:window=99"
    assert name_of("vllm:http://a:8000,model,timeout=3") == "vllm:model"


def test_embed_follows_until_it_is_terminated(
    env: dict[str, str], conn: psycopg.Connection[Any]
) -> None:
    conn.execute("CREATE TABLE followed (id int PRIMARY KEY, body text, doc multivector(384))")
    command = [sys.executable, "-m", "colbert_pg", "embed", "--table", "followed", "--install"]
    with subprocess.Popen(
        [*command, "--encoder", "minilm:threads=1", "--follow", "--progress"],
        env=env,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        assert process.stderr.readline() == "0 rows done\n"
        conn.execute("INSERT INTO followed VALUES (1, 'a bow')")
        assert process.stderr.readline() == "1 rows done\n"
        process.terminate()
        assert process.stderr.read() == ""
    assert process.returncode == 130
    assert conn.execute("SELECT FROM followed WHERE doc IS NULL").rowcount == 0
    conn.execute("DROP TABLE followed")


def test_a_server_that_is_absent(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", "--table", "a", "--dsn", "host=/nowhere"]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_an_interrupt(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(common, "make_encoder", interrupted)
    assert run("search", "a", *TABLE) == (130, "", "")


def test_a_missing_driver(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert main(["index", "--table", "a"]) == 1
    assert "HINT: pip install 'colbert-pg[psycopg]'" in capsys.readouterr().err


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as e:
        main(["explain"])
    assert e.value.code == 2
    assert "required: query, --table, --encoder" in capsys.readouterr().err
    for command in ([], ["load"], ["index"], ["search"], ["explain"], ["tune"], ["embed"]):
        with pytest.raises(SystemExit) as e:
            main([*command, "--help"])
        assert e.value.code == 0
        shown = capsys.readouterr().out
        assert ("--dsn CONNINFO" in shown) == bool(command)


def test_a_reader_that_stops(env: dict[str, str], database: str) -> None:
    """A closed pipe is no traceback."""
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("CREATE TABLE many (id text, body text, metadata jsonb, doc multivector(384))")
        conn.execute(
            "INSERT INTO many SELECT n, repeat('a', 2000), '{}', "
            "ARRAY[array_fill(1, ARRAY[384])]::real[]::multivector FROM generate_series(1, 500) n"
        )
    command = [sys.executable, "-m", "colbert_pg", "search", "a", "--table", "many"]
    with subprocess.Popen(
        [*command, "--encoder", "minilm", "--limit", "500", "--json"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith('{"id"')
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
