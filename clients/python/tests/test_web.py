"""The search page: its answers, what it refuses, and what the command serves."""

from __future__ import annotations

import html
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import psycopg
import pytest
from fake_encoder import FakeEncoder
from starlette.testclient import TestClient

from colbert_pg.__main__ import main
from colbert_pg.collection import Collection, Columns, FullText, StoredRanker
from colbert_pg.collection.records import Ranking
from colbert_pg.encoders import ServerError, Span, SpansUnknownError
from colbert_pg.web import Settings, create_app
from colbert_pg.web.queries import readable
from colbert_pg.web.server import guard, serve
from colbert_pg.web.settings import MAX_QUESTION

SOURCE = Path(__file__).parent.parent / "src"
HTML = '<script>alert("rain")</script> <b onclick=x>rain</b> & snow \' " rain'
TEXTS = {
    "gout": "Gout is treated with drugs.",
    "amazon": "The Amazon river carries water.",
    "violin": "A violin is played with a bow.",
    "html": HTML,
}
MODEL = json.dumps({"weights": [1, 2], "features": ["bm25f", "maxsim_mean"]})
DSN = "dbname=test_web options='-c enable_seqscan=off'"
SETTINGS = Settings("notes", DSN, Columns(metadata=None), ranker=MODEL)


@pytest.fixture(scope="module", autouse=True)
def notes(database: str) -> Iterator[Collection]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        columns = Columns(metadata=None)
        notes = Collection(conn, "notes", FakeEncoder(), columns=columns, full_text=FullText())
        notes.create()
        notes.add(list(TEXTS.values()), ids=list(TEXTS))
        others = [f"page{n} about word{n % 7} and more{n}" for n in range(300)]
        notes.add(others, ids=[f"page{n}" for n in range(300)])
        notes.analyze()
        notes.index()
        conn.execute("ANALYZE notes")
        yield notes


def client_of(settings: Settings = SETTINGS, encoder: Any = None) -> TestClient:
    return TestClient(create_app(encoder or FakeEncoder(), settings), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with client_of() as client:
        yield client


def ask(client: TestClient, question: str, *ways: str) -> str:
    answer = client.get("/", params={"q": question, "by": ways})
    assert answer.status_code == 200, answer.text
    return answer.text


def passages(page: str) -> list[str]:
    return re.findall(r'<p class="passage" dir="auto">(.*?)</p>', page, re.DOTALL)


def text_of(page: str) -> str:
    """Return a part of a page as a reader sees it, without the numbers of query words."""
    bare = re.sub(r"<sup.*?</sup>|<[^>]+>", "", page)
    return " ".join(html.unescape(bare).split())


def test_an_answer(client: TestClient) -> None:
    page = ask(client, "drugs for gout")
    [first, *_] = passages(page)
    assert text_of(first) == TEXTS["gout"]
    assert '<span class="w m short p3 l4" data-near="3" data-terms="3">Gout<sup' in first
    assert re.search(r'class="w m short p1 l4" data-near="1" data-terms="1">drugs<sup', first)
    assert [text_of(word) for word in re.findall(r"<li><button.*?</button>", page)] == [
        "1drugs",
        "2for",
        "3gout",
    ]
    assert 'data-word="3" aria-pressed="false"' in page
    pairs = [text_of(row) for row in re.findall(r"<tr><th scope=\"row\"><span.*?</tr>", page)]
    assert pairs[0].startswith("1 drugsdrugs1.000")
    assert page.count('class="hit"') == 10


def test_its_stages_and_its_sql(client: TestClient) -> None:
    page = ask(client, "drugs for gout", "maxsim")
    assert 'aria-label="Milliseconds: find ' in page
    assert re.search(r"</span>exact \d+\.\d\d</li>", page)
    assert text_of(page).count("notes_doc_idx") == 1
    shown = text_of(page)
    assert 'SELECT "id", "body", \'{}\'::jsonb, maxsim("doc", $1) AS "score" FROM "notes"' in shown
    assert "$1 the question as 3 tokens of 8 dims" in shown


def test_rankings_side_by_side(client: TestClient) -> None:
    page = ask(client, "drugs for gout", "ranker", "maxsim", "text", "hybrid")
    titles = re.findall(r'<h2 id="way-(\w+)">(.*?)</h2>', page)
    assert titles == [
        ("maxsim", "MaxSim"),
        ("text", "BM25F"),
        ("hybrid", "Hybrid"),
        ("ranker", "Two stages"),
    ]
    columns = page.split('<section class="column"')[1:]
    by_words = columns[1]
    assert text_of(passages(by_words)[0]) == TEXTS["gout"]
    assert by_words.count('class="hit"') == 1, "those that have one of the words"
    terms = re.findall(r'<table class="terms">.*?<tbody>(.*?)</tbody>', by_words, re.DOTALL)
    assert [text_of(row)[:6] for row in terms[0].split("</tr>")[:2]] == ["drugD1", "goutD1"]
    score = float(re.findall(r"score </span>([\d.]+)", by_words)[0])
    parts = [float(part) for part in re.findall(r"<td>(\d+\.\d+)</td>", terms[0])]
    assert sum(parts) == pytest.approx(score, abs=0.002)
    assert columns[0].count('<table class="terms">') == 0
    assert columns[3].count('<table class="terms">') == 1
    assert "find" not in by_words.partition("<ol")[0], "it has no scan of its own"
    assert re.search(r"also MaxSim 1, Hybrid 1, Two stages 1", by_words)
    assert "the ranker, a rank_model" in columns[3]
    assert re.search(r"MaxSim \d\.\d+ · BM25F \d\.\d+", columns[2])
    assert 'class="w m short p3' in by_words, "MaxSim shades the hits of all rankings"


def test_a_passage_of_html(client: TestClient) -> None:
    page = ask(client, '<b>rain</b> " snow', "text")
    assert "<script>alert" not in page
    assert "onclick=x>" not in re.sub(r"&lt;.*?&gt;", "", page)
    assert HTML in [text_of(passage) for passage in passages(page)]
    assert 'value="&lt;b&gt;rain&lt;/b&gt; &#34; snow"' in page
    assert page.count("<script") == 1


def test_headers(client: TestClient) -> None:
    for path, status in (("/", 200), ("/static/search.js", 200), ("/nothing", 404)):
        answer = client.get(path)
        assert answer.status_code == status
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    page = ask(client, "gout")
    assert not re.search(r"<[^>]+ (style|on\w+)=", page), "the policy forbids what is inline"
    assert re.findall(r'(?:src|href)="(?![/#])', page) == [], "everything is served here"


def test_the_form_alone(client: TestClient) -> None:
    with client_of(Settings("notes", "dbname=test_web", queries=("who & why",))) as other:
        page = other.get("/").text
    assert '<a href="/?q=who%20%26%20why">who &amp; why</a>' in page
    assert 'value="ranker" disabled' in page
    assert 'value="text" disabled' not in page
    assert "columns" not in page
    assert "For example" not in client.get("/?q=++").text


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("q=" + "x" * (MAX_QUESTION + 1), 400, "a question has at most 500"),
        ("q=%00", 400, "It has a character NUL."),
        ("q=...", 400, "expected a word."),
        ("q=bad", 400, "expected a good text."),
        ("q=x&by=all", 400, "There are maxsim, text, hybrid, ranker, and not all."),
        ("q=poison", 500, "The log of the page has the details."),
    ],
)
def test_questions_that_are_refused(
    client: TestClient, query: str, status: int, words: str
) -> None:
    answer = client.get(f"/?{query}")
    assert answer.status_code == status
    assert words in answer.text
    assert "Traceback" not in answer.text


def test_the_longest_question(client: TestClient) -> None:
    assert "hit" in ask(client, "é" * MAX_QUESTION)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"table": "nowhere"}, "The database has no table &#34;nowhere&#34;"),
        ({"columns": Columns("key", "body", "vectors")}, "has no column key, vectors."),
        ({"dsn": "dbname=nowhere", "timeout": 0.1}, "No connection became free within 0.1 sec"),
        ({"ranker": StoredRanker("x"), "by": "ranker"}, "relation &#34;rankers&#34; does not ex"),
        ({"ranker": "{}", "by": "ranker"}, "The search failed"),
    ],
)
def test_a_table_that_does_not_fit(changes: dict[str, Any], words: str) -> None:
    by = changes.pop("by", "maxsim")
    settings = Settings(**{"table": "notes", "dsn": "dbname=test_web", **changes})
    with client_of(settings) as client:
        answer = client.get("/", params={"q": "gout", "by": by})
    assert answer.status_code in (500, 503)
    assert words in answer.text


def test_a_statement_that_takes_long(database: str) -> None:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("""
            CREATE VIEW slow AS
            SELECT id, body, doc FROM notes WHERE pg_sleep(0.2) IS NOT NULL
        """)
    with client_of(Settings("slow", "dbname=test_web", timeout=0.5)) as client:
        answer = client.get("/?q=gout")
    assert answer.status_code == 504
    assert "The database stopped it after 0.5 seconds." in answer.text


def test_a_table_without_full_text(database: str) -> None:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("""
            CREATE TABLE "my ""%texts" (
                "the %id" timestamptz, "a ""text" text, "the doc" multivector(8)
            )
        """)
        words = FakeEncoder()
        rows = [
            ("today", "gout and drugs", "gout and drugs"),
            ("now", None, "a bow"),
            ("epoch", "gout", "x gout"),
        ]
        with conn.cursor() as cursor:
            for key, text, encoded in rows:
                cursor.execute(
                    'INSERT INTO "my ""%%texts" VALUES (%s, %s, %s::multivector)',
                    (key, text, words.encode_document(encoded).to_text()),
                )
    settings = Settings(
        'my "%texts', "dbname=test_web", Columns("the %id", 'a "text', "the doc", None)
    )
    with client_of(settings) as client:
        page = ask(client, "gout drugs", "text", "hybrid")
    assert re.findall(r'<h2 id="way-(\w+)"', page) == ["maxsim"]
    assert [text_of(passage) for passage in passages(page)] == ["gout and drugs", "gout", ""]
    assert "The row has 2 tokens, but the encoder makes 1 of its text" in text_of(page)
    assert "No index of colbert_pg was scanned" in page
    assert re.findall(r'data-terms="\d">(\w+)', page) == ["gout", "drugs"]


@pytest.mark.parametrize(
    ("type_", "key", "shown"),
    [
        ("mood", "o'k", "o'k"),
        ("timestamptz", "infinity", "infinity"),
        ("timestamp", "0044-03-15 BC", "0044-03-15 00:00:00 BC"),
        ("bytea", "\\x0001", "\\x0001"),
        ("jsonb", '{"a":1}', '{"a": 1}'),
        ("int[]", "{1,2}", "{1,2}"),
        ("interval", "1 mon", "1 mon"),
        ("float8", "NaN", "NaN"),
        ("float8", "0.1", "0.1"),
        ("char(3)", "a", "a"),
        ("text", "a \"b' %s", "a \"b' %s"),
    ],
)
def test_ids_of_any_type(database: str, type_: str, key: str, shown: str) -> None:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("DROP TABLE IF EXISTS keys; DROP TYPE IF EXISTS mood")
        conn.execute("CREATE TYPE mood AS ENUM ('sad', 'o''k')")
        conn.execute(f"CREATE TABLE keys (id {type_}, body text, doc multivector(8), tsv tsvector)")
        doc = FakeEncoder().encode_document("gout").to_text()
        conn.execute(
            f"INSERT INTO keys VALUES (%s::text::{type_}, 'gout', %s::multivector, 'gout')",
            (key, doc),
        )
        conn.execute("SELECT bm25_analyze('keys', 'tsv')")
    with client_of(Settings("keys", "dbname=test_web", Columns(metadata=None))) as client:
        page = ask(client, "gout", "maxsim", "text", "hybrid")
    assert page.count("data-terms") == 3
    assert page.count('<table class="terms">') == 2
    assert (
        f">row {html.escape(shown).replace('&quot;', '&#34;').replace('&#x27;', '&#39;')}" in page
    )


def test_texts_of_other_scripts(database: str) -> None:
    """Joiners of letters and emoji stay, overrides of direction do not; long texts are cut."""
    joined = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f468\u200d\U0001f469 gout"
    texts = (joined, "gout \u202etuog", "gout" * 1500)
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("CREATE TABLE scripts (id int, body text, doc multivector(8))")
        for number, text in enumerate(texts):
            doc = FakeEncoder().encode_document("gout x y"[: 8 - 3 * number]).to_text()
            insert = "INSERT INTO scripts VALUES (%s, %s, %s::multivector)"
            conn.execute(insert, (number, text, doc))
    with client_of(Settings("scripts", "dbname=test_web", Columns(metadata=None))) as client:
        page = ask(client, "gout")
    shown = sorted(map(text_of, passages(page)), key=len)
    assert shown == ["gout \ufffdtuog", joined, ("gout" * 1500)[:5000]]
    assert "1,000 more characters are not shown." in page


def test_the_page_cannot_write(database: str) -> None:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("""
            CREATE TABLE written (n int);
            CREATE FUNCTION write() RETURNS boolean LANGUAGE sql
                AS 'INSERT INTO written VALUES (1) RETURNING true';
            CREATE VIEW writing AS SELECT id, body, doc FROM notes WHERE write();
        """)
        with client_of(Settings("writing", "dbname=test_web")) as client:
            answer = client.get("/?q=gout")
        assert answer.status_code == 500
        assert "cannot execute INSERT in a read-only transaction" in answer.text
        assert conn.execute("SELECT count(*) FROM written").fetchone() == (0,)


def test_a_role_without_rights(database: str) -> None:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("CREATE ROLE web_reader LOGIN")
        try:
            with client_of(Settings("notes", f"dbname={database} user=web_reader")) as client:
                assert "Grant SELECT to the role of the page." in client.get("/?q=gout").text
                conn.execute("GRANT SELECT ON notes TO web_reader")
                assert text_of(passages(ask(client, "gout"))[0]) in TEXTS.values()
        finally:
            conn.execute("DROP OWNED BY web_reader")
            conn.execute("DROP ROLE web_reader")


class WithoutSpans(FakeEncoder):
    def spans(self, text: str, *, query: bool = False) -> list[Span]:
        raise SpansUnknownError(text, query)


class WithoutSomeSpans(FakeEncoder):
    def spans(self, text: str, *, query: bool = False) -> list[Span]:
        if not query:
            raise SpansUnknownError(text)
        return super().spans(text, query=query)


def test_encoders_on_a_server() -> None:
    with client_of(encoder=WithoutSpans()) as client:
        page = ask(client, "gout")
        assert "cannot tell which word a token stands for: nothing is shaded" in page
        assert text_of(passages(page)[0]) in TEXTS.values()
    with client_of(encoder=WithoutSomeSpans()) as client:
        page = ask(client, "gout")
        assert "The encoder cannot tell which word a token stands for." in page
        assert text_of(passages(page)[0]) in TEXTS.values()
    encoder = FakeEncoder()
    encoder.before = lambda _texts: (_ for _ in ()).throw(ServerError("http://gpu/key", 500, "x"))
    with client_of(encoder=encoder) as client:
        answer = client.get("/?q=gout")
        assert answer.status_code == 502
        assert "gpu" not in answer.text


@pytest.mark.parametrize(
    "fault",
    [URLError("refused by gpu"), TimeoutError("gpu"), http.client.BadStatusLine("gpu")],
    ids=repr,
)
def test_an_encoder_that_is_down(fault: Exception) -> None:
    encoder = FakeEncoder()
    encoder.before = lambda _texts: (_ for _ in ()).throw(fault)
    with client_of(encoder=encoder) as client:
        answer = client.get("/?q=gout")
        assert (answer.status_code, "gpu" in answer.text) == (502, False)
        assert "The encoder does not answer" in answer.text


def test_lost_connections(client: TestClient, database: str) -> None:
    ask(client, "gout")
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("""
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'colbert-pg web'
        """)
    assert "hit" in ask(client, "gout")


def test_an_extension_that_is_created_anew(database: str) -> None:
    settings = Settings("notes", "dbname=test_web_anew", Columns(metadata=None))
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("CREATE DATABASE test_web_anew")
    try:
        with psycopg.connect("dbname=test_web_anew", autocommit=True) as conn:
            conn.execute("CREATE EXTENSION colbert_pg")
            fill_notes(conn)
            with client_of(settings) as client:
                for _ in range(6):  # psycopg prepares statements by then
                    ask(client, "gout")
                conn.execute("DROP TABLE notes")
                conn.execute("DROP EXTENSION colbert_pg")
                assert client.get("/", params={"q": "gout"}).status_code == 500
                conn.execute("CREATE EXTENSION colbert_pg")
                with psycopg.connect("dbname=test_web_anew", autocommit=True) as other:
                    fill_notes(other)
                for _ in range(6):
                    assert text_of(passages(ask(client, "gout"))[0]) == TEXTS["gout"]
    finally:
        with psycopg.connect(dbname=database, autocommit=True) as conn:
            conn.execute("DROP DATABASE test_web_anew WITH (FORCE)")


def fill_notes(conn: psycopg.Connection[Any]) -> None:
    notes = Collection(conn, "notes", FakeEncoder(), columns=Columns(metadata=None))
    notes.create()
    notes.add(list(TEXTS.values()), ids=list(TEXTS))


def test_names_of_this_machine() -> None:
    """On a loopback address, the page answers to no name that others can point to it."""
    app = create_app(FakeEncoder(), Settings("notes", "dbname=test_web"))
    for address, host, status in (
        ("127.0.0.1", "127.0.0.1:8080", 200),
        ("127.0.0.1", "evil.example", 400),
        ("127.0.0.2", "127.0.0.2:8080", 200),
        ("127.0.0.2", "evil.example", 400),
        ("::1", "[::1]:8080", 200),
        ("::1", "localhost:8080", 200),
        ("::1", "evil.example:8080", 400),
        ("0.0.0.0", "search.example", 200),
    ):
        client = TestClient(guard(app, address))
        answer = client.get("/static/search.js", headers={"Host": host})
        assert (address, host, answer.status_code) == (address, host, status)


def test_a_port_that_does_not_exist() -> None:
    app = create_app(FakeEncoder(), Settings("notes"))
    with pytest.raises(ValueError, match="expected port from 0 to 65535, not 65536"):
        serve(app, port=65536)


def test_settings() -> None:
    for name, value in {"limit": 0, "connections": 0, "timeout": 0, "recall": 1.1}.items():
        with pytest.raises(ValueError, match=f"expected {name}"):
            Settings("notes", **{name: value})  # type: ignore[arg-type]


def test_readable_statements() -> None:
    statements = Settings('a "FROM %s b').statements()
    search = statements.search(3, None, doc=False, ranking=Ranking())
    assert readable(search).splitlines() == [
        'SELECT "id", "body", \'{}\'::jsonb, maxsim("doc", $1) AS "score"',
        '  FROM "a ""FROM %s b"',
        '  WHERE "doc" IS NOT NULL',
        '  ORDER BY "score" DESC',
        "  LIMIT 3",
    ]


def test_the_command(database: str) -> None:
    """It prints its address, answers, and ends with status 0 at Ctrl-C."""
    encoder = "import words, colbert_pg.commands.common as common; "
    encoder += "common.make_encoder = lambda spec: words.Words(8); "
    code = encoder + "import sys, colbert_pg.__main__ as main; sys.exit(main.main())"
    command = ["web", "--dsn", f"dbname={database}", "--table", "notes", "--encoder", "words"]
    paths = f"{SOURCE}{os.pathsep}{Path(__file__).parent}"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command, "--port", "0"],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        [address] = re.findall(r"Serving on (http://127\.0\.0\.1:\d+/) ", process.stdout.readline())
        with urllib.request.urlopen(f"{address}?q=gout", timeout=30) as answer:
            assert "Gout" in answer.read().decode()
        rebound = urllib.request.Request(address, headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="400") as refused:
            urllib.request.urlopen(rebound, timeout=30)
        refused.value.close()
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "Stopped.\n", "")


def test_the_options_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """The table of doc/search-page.md has all options, and no other."""
    with pytest.raises(SystemExit):
        main(["web", "--help"])
    options = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    page = (SOURCE.parents[2] / "doc" / "search-page.md").read_text(encoding="utf-8")
    table = page.partition("## Options\n")[2].partition("\n## ")[0]
    listed = re.findall(
        r"--[a-z][a-z-]*", " ".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE))
    )
    assert sorted(listed) == sorted(options - {"--help"})


def test_the_command_refuses(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["web", "--dsn", f"dbname={database}", "--table", "nowhere", "--encoder"]
    assert main([*arguments, "vllm:http://localhost:1,x"]) == 1
    assert 'has no table "nowhere"' in capsys.readouterr().err
