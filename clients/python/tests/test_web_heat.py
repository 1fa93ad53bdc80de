"""Words of a passage and their shades, from matches of tokens."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colbert_pg.explain.words import Words
from colbert_pg.web import heat
from colbert_pg.web.heat import Matches, Pair, Piece

TEXT = "The gouty patient, treated."
SPANS = [(4, 8), (8, 9), (10, 17), (19, 26)]  # gouty is of two tokens
QUERY = Words("treat gout", [(0, 0), (0, 5), (6, 10)], 3)  # the first stands for no word
ROWS = [
    (7, True, 1, 3, 0.2),
    (7, True, 2, 4, 0.8),
    (7, True, 3, 1, 1.0),
    (7, False, 3, 1, 1.0),
    (7, False, 3, 2, 0.5),
    (7, False, 1, 3, 0.2),
    (7, False, 2, 4, 0.8),
]


def shaded(**changes: object) -> heat.Shaded:
    matches = heat.collect(ROWS)[7]
    return heat.shade(
        **{  # type: ignore[arg-type]
            "text": TEXT,
            "spans": SPANS,
            "query": QUERY,
            "matches": matches,
            "top": 1.0,
            **changes,
        }
    )


def test_words_of_several_tokens() -> None:
    assert shaded().pieces == (
        Piece("The "),
        Piece("gouty", 2, 4, 1.0, (2,)),
        Piece(" "),
        Piece("patient"),  # its best query token stands for no word
        Piece(", "),
        Piece("treated", 1, 3, 0.8, (1,)),
        Piece("."),
    )


def test_the_pairs_are_the_score() -> None:
    pairs = shaded().pairs
    assert pairs == (
        Pair(0, "", "patient", 0.2),
        Pair(1, "treat", "treated", 0.8),
        Pair(2, "gout", "gouty", 1.0),
    )
    assert sum(pair.score for pair in pairs) == sum(row[4] for row in ROWS if row[1])


def test_several_query_words_with_one_match() -> None:
    rows = [(key, of_query, q, 4 if of_query else d, s) for key, of_query, q, d, s in ROWS]
    found = shaded(matches=heat.collect(rows)[7])
    assert [piece.terms for piece in found.pieces if piece.terms] == [(1, 2)]
    assert [pair.passage for pair in found.pairs] == ["treated"] * 3


def test_other_tokens_than_those_of_the_encoder() -> None:
    with pytest.raises(heat.MismatchError, match="The row has 4 tokens, but the encoder makes 3"):
        shaded(spans=SPANS[:3])


@pytest.mark.parametrize(
    ("similarity", "top", "level"),
    [
        (1, 1, 4),
        (0.85, 1, 4),
        (0.8, 1, 3),
        (0.39, 1, 0),
        (0.4, 1, 1),
        (-1, 1, 0),
        (3, 6, 1),
        (0, 0, 0),
    ],
)
def test_levels(similarity: float, top: float, level: int) -> None:
    assert heat.level_of(similarity, top) == level


def test_the_best_similarity() -> None:
    assert heat.top_similarity([]) == 0
    assert heat.top_similarity([Matches({0: (0, -1.0)})]) == 0
    assert heat.top_similarity([Matches({0: (0, 0.5)}), Matches({0: (0, 2.0)})]) == 2


def test_control_characters() -> None:
    assert heat.plain("a\x1b[31m\u202eb").pieces == (Piece("a\ufffd[31m\ufffdb"),)


def test_long_passages() -> None:
    text = "word " * 2000
    found = heat.plain(text)
    assert found.left_out == len(text) - heat.MAX_SHOWN
    assert len(found.pieces[0].text) == heat.FOLD_FROM + len("word "), "it ends after a word"
    assert len(found.pieces[0].text + found.folded[0].text) == heat.MAX_SHOWN
    spans = [(5 * i, 5 * i + 4) for i in range(2000)]
    matches = Matches({1: (300, 1.0)}, dict.fromkeys(range(2000), (1, 0.1)))
    shown = heat.shade(text, spans, QUERY, matches, 1.0)
    assert sum(len(piece.text) for piece in shown.pieces) >= 5 * 300 + 4
    assert [piece.terms for piece in shown.pieces if piece.terms] == [(1,)]
    assert not any(piece.terms for piece in shown.folded)


PIECES = st.lists(
    st.builds(
        Piece,
        st.text("ab ", min_size=1, max_size=300),
        level=st.integers(0, 1),
        terms=st.sampled_from([(), (1,)]),
    ),
    max_size=12,
)


@given(PIECES)
def test_a_fold_loses_nothing(pieces: list[Piece]) -> None:
    before, after = heat.fold(pieces)
    texts = ["".join(piece.text for piece in part) for part in (pieces, before, after)]
    assert texts[0] == texts[1] + texts[2]
    assert not any(piece.terms for piece in after)
    assert all(piece.text for piece in (*before, *after))


@given(st.text("ab -\u0301漢", max_size=60), st.data())
def test_pieces_are_the_text(text: str, data: st.DataObject) -> None:
    """Whatever tokens there are, the pieces are the passage."""
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12).map(sorted))
    spans = list(itertools.pairwise(cuts))
    numbers = st.integers(0, 2)
    matches = Matches(
        {q: (data.draw(st.integers(0, len(spans) - 1)), 0.7) for q in range(3)} if spans else {},
        {d: (data.draw(numbers), data.draw(st.floats(-1, 1))) for d in range(len(spans))},
    )
    found = heat.shade(text, spans, QUERY, matches, 1.0)
    assert "".join(piece.text for piece in found.pieces) == text
    assert sum(pair.score for pair in found.pairs) == pytest.approx(0.7 * len(matches.terms))
