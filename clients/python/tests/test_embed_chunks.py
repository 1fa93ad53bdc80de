"""Long texts are embedded in overlapping chunks, of which no word is missing."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from embedding import Connection, Gate, connected, run
from fake_encoder import FakeEncoder
from hypothesis import given
from hypothesis import strategies as st

from colbert_pg import MultiVector
from colbert_pg.embed import EmbedError, Job, Result, failures, install, status, uninstall
from colbert_pg.embed.chunking import cut, split
from colbert_pg.encoders import OnnxEncoder

JOB = Job("docs", chunks="chunks", overlap=12)
README = (Path(__file__).parent.parent / "README.md").read_text()
[PARENTS] = re.findall(r"<!-- parents -->\n```sql\n(.*?);?\n```", README, re.DOTALL)
TEXT = st.text(st.sampled_from("ab .\n\u3000。é"), max_size=80)


@given(TEXT, st.integers(1, 25), st.integers(0, 24))
def test_no_character_is_lost(text: str, size: int, overlap: int) -> None:
    overlap = min(overlap, size - 1)
    spans = cut(text, size, overlap)
    for start, end in spans:
        assert 0 <= start < end <= len(text)
        assert end - start <= size
        assert text[start:end].strip() == text[start:end]
    covered = {place for span in spans for place in range(*span)}
    assert all(place in covered or text[place].isspace() for place in range(len(text)))
    for (start, end), (next_start, next_end) in itertools.pairwise(spans):
        assert start < next_start
        assert end <= next_end
        assert end - next_start <= overlap


@given(TEXT.filter(lambda text: len(text.strip()) > 1), st.integers(2, 40), st.integers(0, 30))
def test_smaller_chunks(text: str, tokens: int, overlap: int) -> None:
    span = (0, len(text))
    smaller = split(text, span, tokens, tokens - 1, overlap)
    assert all(end - start < len(text) for start, end in smaller)
    assert {place for start, end in smaller for place in range(start, end)} >= {
        place for place in range(*span) if not text[place].isspace()
    }


def test_chunks_end_where_sentences_do() -> None:
    text = (
        "Gout is a disease. It hurts the joints.\n\nDrugs lower the acid in the blood. "
        "Some people eat less."
    )
    assert [text[start:end] for start, end in cut(text, 55, 14)] == [
        "Gout is a disease. It hurts the joints.",
        "the joints.\n\nDrugs lower the acid in the blood.",
        "in the blood. Some people eat less.",
    ]
    with pytest.raises(ValueError, match="an overlap of 0 to 4 characters, not 5"):
        cut(text, 5, 5)


@pytest.fixture
def conn(database: str) -> Iterator[Connection]:
    with connected(database) as conn:
        yield conn


def words(first: int, last: int) -> str:
    return " ".join(f"word{n}" for n in range(first, last + 1))


def fill(conn: Connection, *texts: str | None) -> None:
    for row, text in enumerate(texts, 1):
        conn.execute("INSERT INTO docs (id, body) VALUES (%s, %s)", (row, text))


def chunks_of(conn: Connection, row: int) -> list[str]:
    """Return the texts of chunks, whose embeddings are checked."""
    rows = conn.execute(
        """
        SELECT substr(body, start_char + 1, end_char - start_char), chunks.doc, chunk
        FROM chunks JOIN docs ON id = parent_id WHERE id = %s ORDER BY chunk
        """,
        (row,),
    ).fetchall()
    assert [number for _, _, number in rows] == list(range(1, len(rows) + 1))
    for text, doc, _ in rows:
        assert doc == MultiVector(FakeEncoder().encode_document(text), "float2")
    return [text for text, _, _ in rows]


def test_texts_are_chunked(conn: Connection, encoder: FakeEncoder) -> None:
    texts = [words(1, 20), words(1, 51), words(1, 500), "über " * 120, "word " * 49 + "x" * 900]
    fill(conn, *texts, None, "a bad text", words(1, 200) + " bad")
    result = run(conn, encoder, JOB, batch=3)
    assert (result.rows, result.failed) == (5, 2)
    assert chunks_of(conn, 1) == [texts[0]]
    assert result.multivectors == sum(len(chunks_of(conn, row)) for row in range(1, 6))
    for row, text in enumerate(texts, 1):
        parts = chunks_of(conn, row)
        assert set(" ".join(parts).split()) == set(text.split())
        for part, following in itertools.pairwise(parts):
            assert part.split()[-1] == following.split()[0]  # they overlap
    assert 11 <= len(chunks_of(conn, 3)) <= 14
    assert [failure.key["id"] for failure in failures(conn, JOB)] == ["7", "8"]
    assert conn.execute("SELECT FROM chunks WHERE parent_id > 5").rowcount == 0
    assert run(conn, encoder, JOB) == Result(0, 0, 0)


def test_chunks_are_replaced_at_once(conn: Connection, encoder: FakeEncoder) -> None:
    fill(conn, words(1, 200), words(1, 100))
    run(conn, encoder, JOB, triggers=True)
    before = chunks_of(conn, 1)
    conn.execute("UPDATE docs SET body = %s WHERE id = 1", (words(300, 310),))
    assert conn.execute("SELECT FROM chunks WHERE parent_id = 1").rowcount == len(before)
    assert run(conn, encoder, JOB) == Result(1, 1, 0)
    assert chunks_of(conn, 1) == [words(300, 310)]
    conn.execute("UPDATE docs SET id = 7 WHERE id = 1; DELETE FROM docs WHERE id = 2")
    assert conn.execute("SELECT parent_id FROM chunks").fetchall() == [(7,)]
    conn.execute("UPDATE docs SET body = NULL")
    assert run(conn, encoder, JOB) == Result(0, 0, 0)
    assert conn.execute("SELECT FROM chunks").rowcount == 0


def test_size_and_overlap_are_of_the_encoder(
    conn: Connection,
    encoder: FakeEncoder,
) -> None:
    fill(conn, words(1, 30))
    small = Job("docs", chunks="chunks", chunk_size=40, overlap=0)
    assert run(conn, encoder, small).rows == 1
    assert all(len(part) <= 40 for part in chunks_of(conn, 1))
    assert " ".join(chunks_of(conn, 1)) == words(1, 30)
    assert (
        status(conn, small).encoder == "fake (8 dims), chunks of 40 characters with an overlap of 0"
    )
    assert run(conn, encoder, small) == Result(0, 0, 0)
    assert run(conn, encoder, JOB) == Result(1, 1, 0)  # another overlap
    assert chunks_of(conn, 1) == [words(1, 30)]


def test_the_table_of_chunks(conn: Connection, encoder: FakeEncoder) -> None:
    with pytest.raises(EmbedError, match='table "chunks" not found'):
        install(conn, JOB)
    fill(conn, words(1, 60))
    run(conn, encoder, JOB)
    with pytest.raises(EmbedError, match="with 8 dims"):
        run(conn, FakeEncoder(dims=9), JOB)
    [(kind,)] = conn.execute(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'chunks'::regclass AND attname = 'doc'"
    ).fetchall()
    assert kind == "multivector(8,float2)"
    install(conn, JOB)
    uninstall(conn, JOB)
    assert len(chunks_of(conn, 1)) == 2
    run(conn, encoder, JOB, everything=True)
    conn.execute("ALTER TABLE chunks DROP COLUMN start_char")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        run(conn, encoder, JOB, everything=True)


def test_an_edit_while_chunks_are_encoded(
    conn: Connection,
    encoder: FakeEncoder,
) -> None:
    fill(conn, words(1, 120), words(1, 70))
    run(conn, encoder, JOB, triggers=True)
    gate = Gate(encoder)
    conn.execute("UPDATE docs SET body = %s", (words(5, 90),))
    with gate.held(conn, encoder, JOB):
        conn.execute("UPDATE docs SET body = 'edited' WHERE id = 1; DELETE FROM docs WHERE id = 2")
    assert chunks_of(conn, 1) == ["edited"]
    assert conn.execute("SELECT FROM chunks").rowcount == 1


def test_a_search_of_parents_uses_the_index(conn: Connection, encoder: FakeEncoder) -> None:
    """The statement of README.md returns the parents whose best chunk scores highest."""
    fill(conn, *[words(n, n + 90) for n in range(1, 400, 20)])
    run(conn, encoder, JOB)
    conn.execute("CREATE INDEX chunks_doc ON chunks USING colbert_hnsw (doc); ANALYZE chunks")
    query = encoder.encode_query("word155 word156")
    search = PARENTS.replace("passages", "docs")
    conn.execute("SET enable_seqscan = off")  # the table is small
    plan = conn.execute(f"EXPLAIN {search}", (query,)).fetchall()
    assert any("Index Scan using chunks_doc" in line for (line,) in plan)
    found = conn.execute(search, (query,)).fetchall()
    conn.execute("RESET enable_seqscan")
    exact = conn.execute(
        "SELECT parent_id FROM chunks GROUP BY 1 ORDER BY max(maxsim(doc, %s)) DESC LIMIT 10",
        (query,),
    ).fetchall()
    scores = [score for *_, score in found]
    assert len(found) == 10
    assert scores == sorted(scores, reverse=True)
    assert {row[0] for row in found[:4]} == {row[0] for row in exact[:4]}
    for _, body, start, end, _ in found[:4]:
        assert "word155 word156" in body[start:end]


def test_with_a_real_encoder(conn: Connection) -> None:
    conn.execute("DROP TABLE docs; CREATE TABLE docs (id int PRIMARY KEY, body text)")
    encoder = OnnxEncoder.minilm(threads=1, window=32)
    text = "Gout is treated with drugs that reduce the level of uric acid in the blood. " * 5
    fill(conn, text, "A violin has four strings.")
    result = run(conn, encoder, JOB)
    assert (result.rows, result.failed) == (2, 0)
    spans = conn.execute("SELECT start_char, end_char FROM chunks WHERE parent_id = 1 ORDER BY 1")
    covered = {place for start, end in spans for place in range(start, end)}
    assert covered >= {place for place, character in enumerate(text) if character != " "}
    [best] = conn.execute(
        "SELECT parent_id FROM chunks ORDER BY maxsim(doc, %s) DESC LIMIT 1",
        (encoder.encode_query("an instrument with strings"),),
    ).fetchall()
    assert best == (2,)
