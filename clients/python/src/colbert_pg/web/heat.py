"""From matches of tokens to words of a passage. Pure: no server, no encoder."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..encoders import Span
from ..explain.words import Words, printable

LEVELS = (0.4, 0.55, 0.7, 0.85)  # shares of the best similarity of a page
MAX_SHOWN = 5000  # characters of a passage
FOLD_FROM, AFTER_TERM = 450, 60  # characters of a passage before its fold
MIN_FOLDED = 200
_NO_WORD = -1


@dataclass
class Matches:
    """The matches of a document, by tokens that count from 0.

    terms: for each query token the token of the document that it matched, and their similarity:
    the terms of maxsim. best: the same for each token of the document and the query.
    """

    terms: dict[int, tuple[int, float]] = field(default_factory=dict)
    best: dict[int, tuple[int, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """A part of a passage: a word, or what is between words.

    query: the number of the query word that it matched best, from 1, or 0 if none came near.
    level: how well, from 0 to 4. similarity: the same as a number.
    terms: the query words, from 1, that matched no word better: their score comes from here.
    """

    text: str
    query: int = 0
    level: int = 0
    similarity: float = 0.0
    terms: tuple[int, ...] = ()


@dataclass(frozen=True)
class Pair:
    """A query word, the word of the passage that it matched, and its part of the score."""

    number: int
    query: str
    passage: str
    score: float


@dataclass(frozen=True)
class Shaded:
    """A passage in pieces.

    folded: the pieces after the fold. left_out: characters at the end that are not shown.
    """

    pieces: tuple[Piece, ...]
    folded: tuple[Piece, ...] = ()
    pairs: tuple[Pair, ...] = ()
    left_out: int = 0


class MismatchError(ValueError):
    """A document whose tokens are not those that the encoder makes of its text."""


def collect(rows: Iterable[tuple[int, bool, int, int, float]]) -> dict[int, Matches]:
    """Return the matches of each document, by its number, from the rows of queries.matches."""
    found: dict[int, Matches] = {}
    for number, of_query, query, doc, similarity in rows:
        matches = found.setdefault(number, Matches())
        if of_query:
            matches.terms[query - 1] = (doc - 1, similarity)
        else:
            matches.best[doc - 1] = (query - 1, similarity)
    return found


def top_similarity(found: Iterable[Matches]) -> float:
    """Return the best similarity of all documents, 0 if there is none above it."""
    return max(
        (value for matches in found for _, value in matches.terms.values() if value > 0),
        default=0.0,
    )


def level_of(similarity: float, top: float) -> int:
    """Return how near a similarity is to the best one, from 0 to 4."""
    if top <= 0:
        return 0
    return sum(similarity >= share * top for share in LEVELS)


def plain(text: str) -> Shaded:
    """Return a passage without shades."""
    pieces, folded = fold([Piece(printable(text[:MAX_SHOWN]))])
    return Shaded(pieces, folded, left_out=max(len(text) - MAX_SHOWN, 0))


def fold(pieces: Sequence[Piece]) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Divide a long passage after its last term, at a space."""
    ends = list(itertools.accumulate(len(piece.text) for piece in pieces))
    terms = [end for end, piece in zip(ends, pieces, strict=True) if piece.terms]
    at = max(FOLD_FROM, max(terms, default=0) + AFTER_TERM)
    if not ends or ends[-1] - at < MIN_FOLDED:
        return tuple(pieces), ()
    number = bisect.bisect_left(ends, at)
    piece = pieces[number]
    if piece.level or piece.terms:
        return tuple(pieces[: number + 1]), tuple(pieces[number + 1 :])
    inside = at - (ends[number] - len(piece.text))
    space = piece.text.find(" ", inside)
    inside = len(piece.text) if space < 0 else space + 1
    halves = Piece(piece.text[:inside]), Piece(piece.text[inside:])
    rest = (*halves[1:], *pieces[number + 1 :]) if halves[1].text else pieces[number + 1 :]
    return (*pieces[:number], halves[0]), tuple(rest)


def shade(text: str, spans: Sequence[Span], query: Words, matches: Matches, top: float) -> Shaded:
    """Shade the words of a passage.

    spans: those of its tokens. query: the words of the question. top: the best similarity of the
    page.
    """
    if len(spans) != len(matches.best):
        raise MismatchError(
            f"The row has {len(matches.best)} tokens, but the encoder makes {len(spans)} of its "
            "text: its words cannot be shaded."
        )
    words = Words(text, list(spans), len(spans))
    terms = terms_of(words.of_row, query, matches)
    best = best_of(words.of_row, query, matches)
    shown = [
        _piece(text[start:end], best.get(word), sorted(terms.get(word, ())), top)
        for word, (start, end) in enumerate(words.spans)
        if end <= MAX_SHOWN
    ]
    pieces, folded = fold(list(_joined(text[:MAX_SHOWN], words.spans, shown)))
    pairs = tuple(pairs_of(words.of_row, words.__getitem__, query, matches))
    return Shaded(pieces, folded, pairs, max(len(text) - MAX_SHOWN, 0))


def terms_of(of_row: Sequence[int], query: Words, matches: Matches) -> dict[int, set[int]]:
    """Return the numbers of the query words that matched each word or patch, from 1.

    of_row: the number of the word or patch of each token, -1 if it has none.
    """
    found: dict[int, set[int]] = {}
    for token, (doc, _) in matches.terms.items():
        if query.of_row[token] != _NO_WORD:
            found.setdefault(of_row[doc], set()).add(query.of_row[token] + 1)
    return found


def best_of(of_row: Sequence[int], query: Words, matches: Matches) -> dict[int, tuple[int, float]]:
    """Return the query word, from 1, that each word or patch matched best, and the similarity."""
    found: dict[int, tuple[int, float]] = {}
    for doc, (token, similarity) in matches.best.items():
        word, number = of_row[doc], query.of_row[token] + 1
        if number and (word not in found or similarity > found[word][1]):
            found[word] = (number, similarity)
    return found


def _piece(text: str, best: tuple[int, float] | None, terms: Sequence[int], top: float) -> Piece:
    number, similarity = best or (0, 0.0)
    level = level_of(similarity, top)
    return Piece(printable(text), number if level else 0, level, similarity, tuple(terms))


def _joined(text: str, spans: Sequence[Span], words: Sequence[Piece]) -> Iterator[Piece]:
    """Return the words, and what is between them."""
    at = 0
    for (start, end), word in zip(spans, words, strict=False):
        if at < start:
            yield Piece(printable(text[at:start]))
        yield word
        at = end
    if at < len(text):
        yield Piece(printable(text[at:]))


def pairs_of(
    of_row: Sequence[int], name: Callable[[int], str], query: Words, matches: Matches
) -> Iterator[Pair]:
    """Return the terms of the score by words or patches, in the order of the question."""
    scores: dict[tuple[int, int], float] = {}
    for token, (doc, similarity) in sorted(matches.terms.items()):
        pair = (query.of_row[token], of_row[doc])
        scores[pair] = scores.get(pair, 0.0) + similarity
    for (number, word), score in scores.items():
        yield Pair(number + 1, printable(query[number]), printable(name(word)), score)
