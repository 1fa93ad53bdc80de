"""Which words of a text match a query: heat maps for a terminal and as HTML."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy.typing as npt

from ..encoders.protocol import Encoder
from ..multivector import MultiVector
from .words import HEAT_COLOR, Words, match, printable, rows_of

_Hot: TypeAlias = Callable[[str, float], str]  # a word, and its heat from 0 to 1
_Cold: TypeAlias = Callable[[str], str]
# Backgrounds of 256-color terminals, from cool to hot, with black text on them.
_COLORS = (230, 229, 228, 222, 215, 208)


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
                f'<span style="background:rgba({HEAT_COLOR},{heat:.2f})" '
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
    queries = rows_of(encoder.encode_query(query))
    docs = rows_of(encoder.encode_document(text) if doc is None else doc)
    query_words = Words(query, encoder.spans(query, query=True), len(queries))
    doc_words = Words(text, encoder.spans(text), len(docs))
    _, pairs = match(queries, docs, query_words.of_row, doc_words.of_row)
    scores = [0.0] * len(doc_words.spans)
    for (_, doc_word), score in pairs.items():
        if doc_word >= 0:
            scores[doc_word] += score
    return Explanation(
        text,
        sum(pairs.values()),
        tuple(
            Word(start, end, text[start:end], score)
            for (start, end), score in zip(doc_words.spans, scores, strict=True)
        ),
        tuple(Match(query_words[q], doc_words[d], score) for (q, d), score in pairs.items()),
    )
