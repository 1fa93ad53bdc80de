"""Page images: patches, files that are served, and files that are refused."""

from __future__ import annotations

import html
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from fake_encoder import FakeEncoder
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from colbert_pg.__main__ import main
from colbert_pg.collection import Columns
from colbert_pg.encoders import Span, SpansUnknownError
from colbert_pg.explain.words import Words
from colbert_pg.web import Grid, PageImages, Settings, create_app, heat, images

GRID = Grid(2, 3, before=1, after=2)
COLUMNS = Columns("id", "title", "doc", None)
IMAGES = PageImages("image", GRID)
# The tokens of a page: one before its patches, two lines of three patches, two after them.
PAGE = "bos gout drugs x y violin z prompt end"


def png(width: int = 3, height: int = 2) -> bytes:
    """Return a white image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\xff" * width) * height)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


SCRIPT = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
WEBP = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0"
ROWS: dict[str, tuple[bytes | None, str | None]] = {
    "a page": (png(), PAGE),
    "jpeg": (b"\xff\xd8\xff\xe0 not read any further", PAGE),
    "webp": (WEBP, PAGE),
    "svg": (SCRIPT, PAGE),
    "html": (b"<!DOCTYPE html><script>alert(1)</script>", PAGE),
    "riff": (b"RIFF\x1a\0\0\0WAVEfmt ", PAGE),
    "empty": (b"", PAGE),
    "null": (None, PAGE),
    "huge": (png() + bytes(images.MAX_BYTES), PAGE),
    "short": (png(), "gout drugs"),
    "long": (png(), PAGE + " more"),
    "no tokens": (png(), None),
}
SHOWN = {"a page": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
SHOWN |= dict.fromkeys(("short", "long", "no tokens"), "image/png")


@pytest.fixture(scope="module")
def conn(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("""
            CREATE TABLE pages (id text PRIMARY KEY, title text, image bytea, doc multivector(8));
            CREATE TABLE others (id int, title text, image text, doc multivector(8));
        """)
        for key, (image, words) in ROWS.items():
            doc = words and FakeEncoder().encode_document(words).to_text()
            insert = "INSERT INTO pages VALUES (%s, %s, %s, %s::multivector)"
            conn.execute(insert, (key, f"<b>{key}</b>", image, doc))
        yield conn


def client_of(
    table: str = "pages", encoder: Any = None, settings: PageImages | None = IMAGES
) -> TestClient:
    options = Settings(table, "dbname=test_web_images", COLUMNS, images=settings, limit=100)
    return TestClient(create_app(encoder or FakeEncoder(), options), raise_server_exceptions=False)


@pytest.fixture
def client(conn: psycopg.Connection[Any]) -> Iterator[TestClient]:
    assert not conn.closed
    with client_of() as client:
        yield client


def hits_of(client: TestClient, question: str = "drugs for gout") -> dict[str, str]:
    """Return the answers to a question by their ids."""
    answer = client.get("/", params={"q": question})
    assert answer.status_code == 200, answer.text
    hits = answer.text.split('<li class="hit">')[1:]
    return {html.unescape(re.findall(r", row (.*?)</span>", hit)[0]): hit for hit in hits}


def patches_of(hit: str) -> list[tuple[str, ...]]:
    """Return class, attributes and box of each patch."""
    return re.findall(r'<g class="patch(.*?)"(.*?)><rect (.*?)/>', hit)


def test_the_patches_of_a_page(client: TestClient) -> None:
    hit = hits_of(client)["a page"]
    gout, drugs, *_ = patches_of(hit)
    assert gout == (
        " m p3 l4",
        ' data-near="3" data-terms="3" data-name="row 1, column 1 of answer '
        + re.findall(r"of answer (\d+)", gout[1])[0]
        + '"',
        'x="0%" y="0%" width="33.3333%" height="50%"',
    )
    assert drugs[2] == 'x="33.3333%" y="0%" width="33.3333%" height="50%"'
    assert re.search(r"</rect>|/><text x=\"33.3333%\" y=\"0%\">3</text></g>", hit)
    assert re.findall(r'<th scope="row">.*?<td dir="auto">(.*?)</td>', hit)[0] == "row 1, column 2"
    assert '<img src="/image?id=a%20page" alt="Page image of row a page" loading="lazy">' in hit
    assert "&lt;b&gt;a page&lt;/b&gt;" in hit, "the text is a caption"
    assert "data-near" not in hit.partition('<div class="sheet">')[0], "which is not shaded"


def test_all_matches_are_those_of_patches(client: TestClient) -> None:
    """Tokens beside the patches may match, too, but are no part of the image."""
    hit = hits_of(client, "prompt")["a page"]
    assert '<td dir="auto">(no patch)</td>' in hit
    assert not any("m " in shade.split("p")[0] for shade, *_ in patches_of(hit))
    assert "row 2, column 2" in hits_of(client, "violin")["a page"]


@pytest.mark.parametrize(
    ("key", "note"),
    [
        ("svg", "The image is neither PNG, JPEG nor WebP."),
        ("html", "The image is neither PNG, JPEG nor WebP."),
        ("riff", "The image is neither PNG, JPEG nor WebP."),
        ("empty", "The image is neither PNG, JPEG nor WebP."),
        ("null", "The row has no image."),
        ("huge", "bytes, and at most 16,777,216 are shown."),
        ("short", "The row has 2 tokens, but the grid has 6 patches and 3 more tokens"),
        ("long", "The row has 10 tokens, but the grid has 6 patches and 3 more tokens"),
    ],
)
def test_rows_that_cannot_be_shown(client: TestClient, key: str, note: str) -> None:
    hit = hits_of(client)[key]
    assert note in hit
    assert patches_of(hit) == []
    assert ("<img" in hit) == (key in SHOWN)


def test_what_is_served(client: TestClient) -> None:
    for key, (data, _) in ROWS.items():
        answer = client.get("/image", params={"id": key})
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        if key in SHOWN:
            assert (answer.status_code, answer.content) == (200, data)
            assert answer.headers["Content-Type"] == SHOWN[key]
        else:
            assert answer.status_code == 404
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert "<script>alert" not in answer.text


def test_other_ids(client: TestClient, conn: psycopg.Connection[Any]) -> None:
    for query in ("", "?id=", "?id=nobody", "?id=%00", "?id='%20OR%20true--", "?id=%ff"):
        assert client.get(f"/image{query}").status_code == 404, query
    conn.execute("""
        CREATE TABLE numbered AS
        SELECT 7 AS id, title, image AS "an ""%s image", doc FROM pages WHERE id = 'a page'
    """)
    with client_of("numbered", settings=PageImages('an "%s image', GRID)) as other:
        assert len(patches_of(hits_of(other)["7"])) >= 2
        assert other.get("/image?id=7").content == png()
        for key in ("seven", "8", "99999999999999999999"):
            assert other.get(f"/image?id={key}").status_code == 404, key
    conn.execute("""
        CREATE DOMAIN small AS int CHECK (VALUE < 10);
        ALTER TABLE numbered ALTER id TYPE small;
    """)
    with client_of("numbered", settings=PageImages('an "%s image', GRID)) as other:
        assert [other.get(f"/image?id={key}").status_code for key in (7, 10)] == [200, 404]
    with client_of(settings=None) as other:
        assert other.get("/image?id=a%20page").status_code == 404


def test_ids_that_are_no_keys(conn: psycopg.Connection[Any]) -> None:
    """An id that is NULL, or that several rows have, leaves the other answers as they are."""
    conn.execute("""
        CREATE TABLE keyless AS
        SELECT n / 2 AS id, 'caption ' || n AS title, image, doc
        FROM pages, generate_series(2, 4) AS n WHERE id = 'a page';
        INSERT INTO keyless SELECT NULL, 'caption 5', image, doc FROM keyless LIMIT 1;
    """)
    columns = Columns("id", "title", "doc", None)
    for images_of in (IMAGES, None):
        options = Settings("keyless", f"dbname={conn.info.dbname}", columns, images=images_of)
        with TestClient(create_app(FakeEncoder(), options)) as client:
            text = client.get("/", params={"q": "gout"}).text
        assert [f"caption {n}" in text for n in range(2, 6)] == [True] * 4
        assert text.count("The row has no id, by which its matches are found.") == 1
        assert "row NULL" in text
        assert text.count("<img") == (3 if images_of else 0)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_other_encodings(
    conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    apps: list[Any] = []
    monkeypatch.setattr("colbert_pg.web.serve", lambda app, **_options: apps.append(app))
    monkeypatch.setattr("colbert_pg.commands.common.make_encoder", lambda _spec: FakeEncoder())
    name = f"{conn.info.dbname}_{encoding}"
    conn.execute(f"CREATE DATABASE \"{name}\" ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        with psycopg.connect(dbname=name, client_encoding="utf8") as inside:
            inside.execute("CREATE EXTENSION colbert_pg")
            inside.execute("CREATE TABLE pages (id text, title text, image bytea, doc multivector)")
            doc = FakeEncoder().encode_document(PAGE).to_text()
            row = ("blé", "Blé", png(), doc)
            inside.execute("INSERT INTO pages VALUES (%s, %s, %s, %s::multivector)", row)
        arguments = ["web", "--dsn", f"dbname={name}", "--table", "pages", "--text", "title"]
        arguments += ["--encoder", "words", "--image", "image", "--grid", "2x3"]
        assert main([*arguments, "--extra-tokens", "1,2"]) == 0
        with TestClient(apps[0]) as client:
            assert "Blé" in hits_of(client)["blé"]
            assert client.get("/image", params={"id": "blé"}).content == png()
            assert client.get("/image", params={"id": "雪"}).status_code == 404
    finally:
        conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_images_are_only_read(conn: psycopg.Connection[Any]) -> None:
    conn.execute("""
        CREATE TABLE written (n int);
        CREATE FUNCTION write() RETURNS boolean LANGUAGE sql
            AS 'INSERT INTO written VALUES (1) RETURNING true';
        CREATE VIEW writing AS SELECT id, title, image, doc FROM pages WHERE write();
    """)
    with client_of("writing") as client:
        answer = client.get("/image?id=a%20page")
    assert answer.status_code == 500
    assert "read-only transaction" in answer.text
    assert conn.execute("SELECT count(*) FROM written").fetchone() == (0,)


@pytest.mark.parametrize(
    ("table", "column", "words"),
    [
        ("others", "image", "has the type text, expected bytea."),
        ("pages", "pictures", "Column pictures of table &#34;pages&#34; does not exist."),
    ],
)
def test_tables_without_images(client: TestClient, table: str, column: str, words: str) -> None:
    assert client.get("/").status_code == 200
    with client_of(table, settings=PageImages(column, GRID)) as other:
        for path in ("/?q=gout", "/image?id=1"):
            answer = other.get(path)
            assert answer.status_code == 500
            assert words in answer.text


class WithoutSpans(FakeEncoder):
    def spans(self, text: str, *, query: bool = False) -> list[Span]:
        raise SpansUnknownError(text, query)


def test_an_encoder_that_cannot_tell(conn: psycopg.Connection[Any]) -> None:
    assert not conn.closed
    with client_of(encoder=WithoutSpans()) as client:
        hit = hits_of(client)["a page"]
    assert "<img" in hit
    assert patches_of(hit) == []


def test_grids() -> None:
    assert (GRID.patches, GRID.tokens) == (6, 9)
    assert GRID.of_row() == [-1, 0, 1, 2, 3, 4, 5, -1, -1]
    assert [GRID.name(patch) for patch in (-1, 0, 5)] == ["", "row 1, column 1", "row 2, column 3"]
    for sizes in ((0, 1), (1, 0), (1, 1, -1), (1, 1, 0, -1)):
        with pytest.raises(ValueError, match="expected a grid of at least 1 x 1"):
            Grid(*sizes)
    with pytest.raises(ValueError, match="expected at most 2048 tokens per page, not 2049"):
        Grid(32, 64, 0, 1)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3), st.data())
def test_any_grid(rows: int, columns: int, before: int, after: int, data: st.DataObject) -> None:
    """Each patch is within the page, none is there twice, and no part of the score is lost."""
    grid = Grid(rows, columns, before, after)
    tokens = st.integers(0, grid.tokens - 1)
    matches = heat.Matches(
        {q: (data.draw(tokens), 0.7) for q in range(2)},
        {
            d: (data.draw(st.integers(0, 1)), data.draw(st.floats(-1, 1)))
            for d in range(grid.tokens)
        },
    )
    sheet = images.shade(grid, Words("a b", [(0, 1), (2, 3)], 2), matches, 1.0)
    places = {(patch.left, patch.top) for patch in sheet.patches}
    assert len(places) == len(sheet.patches) <= grid.patches
    for patch in sheet.patches:
        assert 0 <= patch.left < patch.left + patch.width <= 100.001
        assert 0 <= patch.top < patch.top + patch.height <= 100.001
        assert patch.level or patch.terms
    matched = {doc - before for doc, _ in matches.terms.values()} & set(range(grid.patches))
    assert {grid.name(patch) for patch in matched} == {
        patch.name for patch in sheet.patches if patch.terms
    }
    assert sum(pair.score for pair in sheet.pairs) == pytest.approx(1.4)


@given(st.binary(max_size=40))
def test_only_known_kinds(data: bytes) -> None:
    kind = images.kind_of(data[: images.MAGIC_BYTES])
    starts = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")
    assert (kind is None) or data.startswith(starts)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--image", "image"], "expected --grid beside --image"),
        (["--grid", "2x3"], "expected --image beside --grid and --extra-tokens"),
        (["--extra-tokens", "1,2"], "expected --image beside --grid and --extra-tokens"),
        (["--image", "title", "--grid", "2x3"], "has the type text, expected bytea."),
        (["--image", "image", "--grid", "0x3"], "expected a grid of at least 1 x 1"),
        (["--image", "image", "--grid", "99x99"], "expected at most 2048 tokens per page"),
    ],
)
def test_the_command_refuses(
    conn: psycopg.Connection[Any],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: str,
) -> None:
    arguments = ["web", "--dsn", f"dbname={conn.info.dbname}", "--table", "pages"]
    arguments += ["--text", "title", "--encoder", "vllm:http://localhost:1,x"]
    assert main([*arguments, *options]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--grid", "2*3"], ["--grid", "2x"], ["--extra-tokens", "1"]])
def test_options_that_are_no_numbers(options: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(["web", "--table", "pages", "--encoder", "minilm", *options])


def test_the_command(conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its options are those of the settings."""
    apps: list[Any] = []
    monkeypatch.setattr("colbert_pg.web.serve", lambda app, **_options: apps.append(app))
    monkeypatch.setattr("colbert_pg.commands.common.make_encoder", lambda _spec: FakeEncoder())
    arguments = ["web", "--dsn", f"dbname={conn.info.dbname}", "--table", "pages", "--text"]
    arguments += ["title", "--encoder", "words", "--image", "image", "--grid", "2x3"]
    arguments += ["--extra-tokens", "1,2", "--limit", "100", "--note", "drawn <here>"]
    assert main(arguments) == 0
    with TestClient(apps[0]) as client:
        assert '<p class="note about">drawn &lt;here&gt;</p>' in client.get("/").text
        assert len(patches_of(hits_of(client)["a page"])) >= 2
