"""Heat maps, with an encoder whose rows are known, and with the packaged model on the server."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colbert_pg import MultiVector
from colbert_pg.encoders import OnnxEncoder, Span, TextEncoder
from colbert_pg.explain import Explanation, Match, Word, explain
from colbert_pg.psycopg import register_multivector

PIECE = re.compile(r"\w{1,3}|\S")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Pieces(TextEncoder):
    """Encodes pieces of up to three letters: equal pieces are equal, all others orthogonal."""

    def __init__(self, first: str = "") -> None:
        self._known: dict[str, int] = {}
        self._first = [first] if first else []

    @property
    def dims(self) -> int:
        return 64

    def encode(self, texts: list[str], *, query: bool) -> list[MultiVector]:
        assert query in (True, False)
        rows = [[*self._first, *PIECE.findall(text.lower())] for text in texts]
        unit = np.eye(self.dims, dtype=np.float32)
        return [MultiVector(unit[[self._number(piece) for piece in row]]) for row in rows]

    def spans(self, text: str, *, query: bool = False) -> list[Span]:
        assert query in (True, False)
        return [(0, 0)] * len(self._first) + [found.span() for found in PIECE.finditer(text)]

    def _number(self, piece: str) -> int:
        return self._known.setdefault(piece, len(self._known) % self.dims)


def test_subwords_are_merged() -> None:
    found = explain(Pieces(), "immune, gout", "The immune system; go")
    assert found.words == (
        Word(0, 3, "The", 0),
        Word(4, 10, "immune", 2),
        Word(11, 17, "system", 0),
        Word(17, 18, ";", 0),
        Word(19, 21, "go", 0),
    )
    assert found.score == 2
    assert found.matches[0] == Match("immune", "immune", 2)
    assert [match.query for match in found.matches] == ["immune", ",", "gout"]
    assert str(found).startswith(" 2.000  immune -> immune\n 0.000  , -> ")


def test_words_without_spaces_are_not_merged() -> None:
    class Characters(Pieces):
        def spans(self, text: str, *, query: bool = False) -> list[Span]:
            assert query in (True, False)
            return [(i, i + 1) for i in range(len(text))]

        def encode(self, texts: list[str], *, query: bool) -> list[MultiVector]:
            return super().encode([" ".join(text) for text in texts], query=query)

    found = explain(Characters(), "京", "東京abc")
    assert [(word.text, word.score) for word in found.words] == [("東", 0), ("京", 1), ("abc", 0)]


def test_rows_without_text() -> None:
    """The score of a marker row is in the sum, and in no word."""
    found = explain(Pieces(first="[D]"), "gout", "the gout")
    assert found.score == 3
    assert found.matches == (Match("", "", 1), Match("gout", "gout", 2))
    assert sum(word.score for word in found.words) == 2


@given(text=st.text(min_size=1, max_size=40), query=st.text(min_size=1, max_size=10))
def test_words_add_up_and_html_shows_the_text(text: str, query: str) -> None:
    text, query = text + " a<b", query + " a<b"
    found = explain(Pieces(), query, text)
    assert sum(word.score for word in found.words) == pytest.approx(found.score)
    assert sum(match.score for match in found.matches) == pytest.approx(found.score)
    assert html.unescape(re.sub("<[^>]*>", "", found.to_html())) == html.unescape(html.escape(text))
    assert len(ANSI.sub("", found.to_terminal())) == len(text)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


@pytest.mark.parametrize("matching", [True, False])
def test_html_is_escaped(matching: bool) -> None:
    text = "<script>alert('x')</script> & \"<img src=x onerror=y>\""
    found = explain(Pieces(), text if matching else "zzz", text)
    shown = found.to_html()
    tags = Tags()
    tags.feed(shown)
    assert set(tags.tags) == ({"div", "span"} if matching else {"div"})
    assert ("&lt;</span>" if matching else "&lt;script&gt;") in shown
    assert found._repr_html_() == shown


def test_html_shows_heat() -> None:
    words = (Word(0, 1, "a", 1.5), Word(2, 3, "b", -1), Word(4, 5, "c", 3))
    assert Explanation("a b c", 3.5, words, ()).to_html() == (
        '<div class="colbert-explanation" style="white-space:pre-wrap">'
        '<span style="background:rgba(255,120,0,0.50)" title="1.500">a</span> b '
        '<span style="background:rgba(255,120,0,1.00)" title="3.000">c</span></div>'
    )


def test_a_terminal_shows_heat() -> None:
    words = (Word(0, 1, "a", 0.1), Word(2, 3, "b", 0), Word(4, 5, "c", 3))
    assert Explanation("a b c", 3.1, words, ()).to_terminal() == (
        "\x1b[30;48;5;230ma\x1b[0m b \x1b[30;48;5;208mc\x1b[0m"
    )


def test_a_text_cannot_command_the_terminal() -> None:
    text = "a \x1b[2J\x9b2J\u202eb\r\tc\n"
    found = explain(Pieces(), text, text)
    assert ANSI.sub("", found.to_terminal()) == "a \ufffd[2J\ufffd2J\ufffdb\ufffd\tc\n"
    assert not re.search("[\x1b\x9b\u202e\r]", str(found))


def test_nothing_matches() -> None:
    found = Explanation("a b", 0, (Word(0, 1, "a", 0),), ())
    assert found.to_terminal() == "a b"
    assert found.to_html().endswith(">a b</div>")


def test_a_document_of_another_text() -> None:
    encoder = Pieces()
    with pytest.raises(ValueError, match="expected a multivector of 2 tokens, not 1"):
        explain(encoder, "a", "a b", encoder.encode_document("a"))
    with pytest.raises(ValueError, match="expected 64 dims, not 2"):
        explain(encoder, "a", "a b", [[1, 2], [3, 4]])


def test_the_score_is_that_of_the_server(database: str) -> None:
    encoder = OnnxEncoder.minilm(threads=1)
    query, text = "medicine for gout", "Gout is treated with drugs."
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        register_multivector(conn)
        row = conn.cursor(binary=True).execute(
            "SELECT doc, maxsim(doc, %s) FROM (SELECT %b::multivector(384, float2) AS doc) AS docs",
            (encoder.encode_query(query), encoder.encode_document(text)),
        )
        [(doc, score)] = row.fetchall()
    found = explain(encoder, query, text, doc)
    assert found.score == pytest.approx(score, abs=1e-4)
    assert found.score == pytest.approx(explain(encoder, query, text).score, abs=1e-2)
    best = {match.query: match.document for match in found.matches}
    assert (best["gout"], best["medicine"]) == ("Gout", "drugs")
