"""Which words of a document match a query: heat maps for a terminal and as HTML."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .encoders.protocol import Encoder, Span
from .multivector import MultiVector

_Hot: TypeAlias = Callable[[str, float], str]  # a word, and its heat from 0 to 1
_Cold: TypeAlias = Callable[[str], str]
# Backgrounds of 256-color terminals, from cool to hot, with black text on them.
_COLORS = (230, 229, 228, 222, 215, 208)
_HTML_COLOR = "255,120,0"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_KEPT_CONTROLS = "\n\t"
_CONTROLS = ("Cc", "Cf", "Cs")
_UNSPACED = ((0x2E80, 0xA4CF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))  # Chinese, Japanese, Yi


@dataclass(frozen=True)
class Word:
    """A word of a text, with what it adds to the score."""

    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True)
class Match:
    """A word of the query, the word of the document that is most similar, and what it adds.

    A word is empty if its row stands for no part of the text.
    """

    query: str
    document: str
    score: float


@dataclass(frozen=True)
class Explanation:
    """A MaxSim score, by words. score is the sum over matches."""

    text: str
    score: float
    words: tuple[Word, ...]
    matches: tuple[Match, ...]

    def __str__(self) -> str:
        """Return a line per match."""
        return "\n".join(
            f"{match.score:6.3f}  {printable(match.query)} -> {printable(match.document)}"
            for match in self.matches
        )

    def to_terminal(self) -> str:
        """Return the text with background colors, by ANSI escape sequences.

        Control characters of the text itself are replaced: it cannot command the terminal.
        """
        top = len(_COLORS)
        return self._join(
            lambda text, heat: (
                f"\x1b[30;48;5;{_COLORS[min(int(heat * top), top - 1)]}m{printable(text)}\x1b[0m"
            ),
            printable,
        )

    def to_html(self) -> str:
        """Return a div with the text, escaped; a word's score is in its title."""
        scores = iter(word.score for word in self.words if word.score > 0)
        body = self._join(
            lambda text, heat: (
                f'<span style="background:rgba({_HTML_COLOR},{heat:.2f})" '
                f'title="{next(scores):.3f}">{html.escape(text)}</span>'
            ),
            html.escape,
        )
        return f'<div class="colbert-explanation" style="white-space:pre-wrap">{body}</div>'

    def _repr_html_(self) -> str:
        return self.to_html()

    def _join(self, hot: _Hot, cold: _Cold) -> str:
        """Return the text with each word that adds to the score passed to hot, the rest to cold."""
        hottest = max((word.score for word in self.words), default=0)
        parts, at = [], 0
        for word in self.words:
            if word.score > 0:
                parts += [cold(self.text[at : word.start]), hot(word.text, word.score / hottest)]
                at = word.end
        return "".join([*parts, cold(self.text[at:])])


def explain(
    encoder: Encoder, query: str, text: str, doc: MultiVector | npt.ArrayLike | None = None
) -> Explanation:
    """Explain the score maxsim(doc, query) of a text.

    doc: the multivector of the text, such as from the database; by default the text is encoded.
    """
    queries = np.asarray(encoder.encode_query(query), np.float32)
    docs = np.asarray(encoder.encode_document(text) if doc is None else doc, np.float32)
    query_words = _Words(query, encoder.spans(query, query=True), len(queries))
    doc_words = _Words(text, encoder.spans(text), len(docs))
    if queries.shape[1] != docs.shape[1]:
        raise ValueError(f"expected {queries.shape[1]} dims, not {docs.shape[1]}")
    similarities = queries @ docs.T
    best = similarities.argmax(axis=1)
    gains = similarities.max(axis=1)
    pairs: dict[tuple[int, int], float] = {}
    for row, (column, gain) in enumerate(zip(best, gains, strict=True)):
        pair = (query_words.of_row[row], doc_words.of_row[column])
        pairs[pair] = pairs.get(pair, 0.0) + float(gain)
    scores = [0.0] * len(doc_words.spans)
    for (_, doc_word), score in pairs.items():
        if doc_word >= 0:
            scores[doc_word] += score
    return Explanation(
        text,
        float(gains.sum()),
        tuple(
            Word(start, end, text[start:end], score)
            for (start, end), score in zip(doc_words.spans, scores, strict=True)
        ),
        tuple(Match(query_words[q], doc_words[d], score) for (q, d), score in pairs.items()),
    )


class _Words:
    """The words of a text, of neighbouring subwords.

    spans: of each word. of_row: the number of the word of each row, -1 if its span is empty.
    """

    def __init__(self, text: str, spans: list[Span], rows: int) -> None:
        if len(spans) != rows:
            raise ValueError(f"expected a multivector of {len(spans)} tokens, not {rows}")
        self.text = text
        self.spans: list[Span] = []
        self.of_row = [-1] * rows
        order = sorted((span, row) for row, span in enumerate(spans) if span[0] < span[1])
        for (start, end), row in order:
            if self.spans and _continues(text, self.spans[-1][1], start):
                first, last = self.spans[-1]
                self.spans[-1] = (first, max(last, end))
            else:
                self.spans.append((start, end))
            self.of_row[row] = len(self.spans) - 1

    def __getitem__(self, word: int) -> str:
        if word < 0:
            return ""
        start, end = self.spans[word]
        return self.text[start:end]


def _continues(text: str, end: int, start: int) -> bool:
    """Return whether a token at start belongs to the word that ends at end."""
    return start < end or (start == end and _joins(text[end - 1]) and _joins(text[start]))


def _joins(character: str) -> bool:
    if any(first <= ord(character) <= last for first, last in _UNSPACED):
        return False
    return character.isalnum() or unicodedata.category(character).startswith("M")


def printable(text: str) -> str:
    """Return a text that cannot command a terminal: control characters are replaced."""
    return "".join(_REPLACEMENT if _is_control(c) else c for c in text)


def _is_control(character: str) -> bool:
    return character not in _KEPT_CONTROLS and unicodedata.category(character) in _CONTROLS
