"""The pages of indexes: contents, settings, and recall by time."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg
import pytest
from fake_encoder import FakeEncoder
from starlette.testclient import TestClient

from colbert_pg.admin import Trial
from colbert_pg.collection import Columns
from colbert_pg.load import copy, create_index
from colbert_pg.web import Settings, create_app
from colbert_pg.web.indexes import number_of
from colbert_pg.web.pages import size

COLUMNS = Columns(metadata=None)
QUERIES = tuple(f"word{n} and more{n}" for n in range(8))
SETTINGS = Settings("docs", "dbname=test_web_indexes", COLUMNS, queries=QUERIES, limit=5)


@pytest.fixture(scope="module")
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("CREATE TABLE docs (id int, body text, doc multivector(8))")
        random = np.random.default_rng(3)
        copy(conn, "docs", [(n, "text", random.normal(size=(4, 8))) for n in range(400)])
        create_index(conn, "docs")
        conn.execute('ALTER INDEX docs_doc_idx RENAME TO "an <i> index/%"')
        yield conn


@pytest.fixture
def client(conn: psycopg.Connection[Any]) -> Iterator[TestClient]:
    assert not conn.closed
    with TestClient(create_app(FakeEncoder(), SETTINGS)) as client:
        yield client


def path_of(client: TestClient) -> str:
    """Return the address of the index, from the list."""
    [link] = re.findall(r'<li><a href="(/indexes/.*?)">', client.get("/indexes").text)
    return html.unescape(link)


def rows_of(page: str) -> list[list[str]]:
    [table] = re.findall(r'<table class="trials">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    return [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in table.strip().splitlines()]


def test_an_index(client: TestClient) -> None:
    page = client.get(path_of(client)).text
    assert "<h1>&#34;an &lt;i&gt; index/%&#34;</h1>" in page
    assert "CREATE INDEX &#34;an &lt;i&gt; index/%&#34; ON public.docs USING colbert_hnsw" in page
    assert "<dt>documents</dt><dd>400</dd>" in page
    assert "<dt>tokens</dt><dd>1,600</dd>" in page
    assert re.search(r'aria-label="directory \d.*, sketch .*, code .*, posting .*, other ', page)
    assert "none, the index is in good order." in page
    assert "Asks 8 questions by several settings" in page
    assert "<figure>" not in page


def test_advice(conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE TABLE lengths (id int, body text, doc multivector(8))")
    random = np.random.default_rng(3)
    rows = [(n, "x", random.normal(size=(8, 8)) * (1 + n % 4)) for n in range(3000)]
    copy(conn, "lengths", rows)
    create_index(conn, "lengths")
    with TestClient(create_app(FakeEncoder(), replace(SETTINGS, table="lengths"))) as other:
        page = other.get("/indexes/lengths_doc_idx").text
    assert re.search(r'<p class="advice has"><strong>Advice:</strong> Normalise tokens', page)


def test_the_present_settings_are_automatic(client: TestClient) -> None:
    path = path_of(client)
    page = client.post(path).text
    assert re.search(r"8 questions, measured at 20\d\d-.* for a recall@5 of 0.95", page)
    rows = rows_of(page)
    assert rows[0][:6] == ["1", *["automatic"] * 5]
    assert "present" in rows[0][-1]
    assert ["cheapest" in row[-1] for row in rows].count(True) == 1
    assert page.count('class="point"') == len(rows) + 1, "and that of the legend"
    assert re.search(r"setting 1, present(, cheapest)?: recall [01]\.\d{3}, ", page)
    assert "Measure again" in client.get(path).text, "it is kept"


def test_other_present_settings(client: TestClient, conn: psycopg.Connection[Any]) -> None:
    path = path_of(client)
    conn.execute('ALTER INDEX "an <i> index/%" SET (probes = 3, rerank = 7)')
    try:
        page = client.post(path).text
        rows = rows_of(page)
        assert rows[-1][1:6] == ["automatic", "3", "automatic", "automatic", "7"]
        assert rows[-1][-1] == "present"
        assert [row[-1] for row in rows].count("present") == 1
        assert "measured them by 8 questions" in html.unescape(page)
        assert re.search(r"<code>probes</code></th><td>.</td><td>3</td><td>3</td>", page)
        conn.execute("CREATE INDEX other ON docs USING colbert_ivf (doc)")
        assert "the table has another index" in client.post(path).text
    finally:
        conn.execute('ALTER INDEX "an <i> index/%" RESET (probes, rerank)')
        conn.execute("DROP INDEX IF EXISTS other")


def test_what_is_refused(client: TestClient) -> None:
    path = path_of(client)
    for header in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post(path, headers=header).status_code == 403
    behind_a_proxy = {"Origin": "https://search.example", "Sec-Fetch-Site": "same-origin"}
    for header in ({"Origin": "http://testserver"}, behind_a_proxy):
        assert client.post(path, headers=header).status_code == 200
    assert client.get("/indexes/docs_pkey").status_code == 404
    assert client.post("/indexes/nothing").status_code == 404
    settings = replace(SETTINGS, queries=())
    with TestClient(create_app(FakeEncoder(), settings)) as other:
        assert other.post(path).status_code == 400
        assert "start the page with <code>--queries FILE" in other.get(path).text
    settings = replace(SETTINGS, tune_timeout=0.001)
    with TestClient(create_app(FakeEncoder(), settings)) as other:
        answer = other.post(path)
        assert (answer.status_code, "measurement took too long" in answer.text) == (504, True)
        assert "The database stopped it after 0.001 seconds." in answer.text


def test_a_name_of_an_address(conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE TABLE named AS SELECT * FROM docs LIMIT 20")
    conn.execute('CREATE INDEX "a?b#c" ON named USING colbert_hnsw (doc)')
    with TestClient(create_app(FakeEncoder(), replace(SETTINGS, table="named"))) as other:
        answer = other.post(path_of(other))
    assert (answer.status_code, "Measure again" in answer.text) == (200, True)


def test_an_invalid_index(conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE TABLE broken AS SELECT * FROM docs LIMIT 20")
    conn.execute("CREATE INDEX broken_idx ON broken USING colbert_hnsw (doc)")
    conn.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken_idx'::regclass")
    settings = replace(SETTINGS, table="broken")
    with TestClient(create_app(FakeEncoder(), settings), raise_server_exceptions=False) as other:
        assert "colbert_hnsw, not valid" in other.get("/indexes").text
        assert other.get("/?q=gout").status_code == 200
        page = other.get("/indexes/broken_idx")
        assert (page.status_code, "Not valid:" in page.text) == (200, True)
        assert "CREATE INDEX broken_idx ON public.broken" in page.text
        assert "<form" not in page.text
        answer = other.post("/indexes/broken_idx")
        assert (answer.status_code, "is not valid." in answer.text) == (500, True)
        assert "does not answer" not in answer.text


def test_an_index_that_is_being_built(conn: psycopg.Connection[Any]) -> None:
    """Its file stays empty if CREATE INDEX CONCURRENTLY is cancelled while it waits for others."""
    conn.execute("CREATE TABLE growing AS SELECT * FROM docs LIMIT 20")
    with psycopg.connect(dbname="test_web_indexes") as writer:
        writer.execute("INSERT INTO growing SELECT * FROM docs LIMIT 1")
        conn.execute("SET statement_timeout = '1s'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            conn.execute(
                "CREATE INDEX CONCURRENTLY growing_idx ON growing USING colbert_hnsw (doc)"
            )
        conn.execute("RESET statement_timeout")
    with TestClient(create_app(FakeEncoder(), replace(SETTINGS, table="growing"))) as other:
        page = other.get("/indexes/growing_idx")
    assert (page.status_code, "Not valid:" in page.text) == (200, True)


def test_a_table_without_an_index(client: TestClient, conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE TABLE bare (id int, body text, doc multivector(8))")
    with TestClient(create_app(FakeEncoder(), replace(SETTINGS, table="bare"))) as other:
        page = other.get("/indexes").text
    assert 'CREATE INDEX ON "bare" USING colbert_hnsw ("doc");' in html.unescape(page)
    assert client.get("/indexes").text.count("<li>") == 1


def test_the_number_of_settings() -> None:
    trials = [
        Trial(0, 0, 0, 0, 0, 0.9, 1, False),
        Trial(0, 8, None, 0, 0, 0.9, 1, False),
        Trial(0.9, 0, 0, 0, 0, 0.9, 1, False),
    ]
    assert number_of(trials, [0, 0, 0, 0, 0]) == 1
    assert number_of(trials, [0, 8, 0, 0, 0]) == 2
    assert number_of(trials, [0, 8, 4, 0, 0]) is None
    assert number_of(trials, [0.9, 0, 0, 0, 0]) == 3


def test_sizes() -> None:
    assert [size(n) for n in (0, 999, 1000, 8192, 2**21, 2**50)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "8.0 kB",
        "2.0 MB",
        "1024.0 TB",
    ]
