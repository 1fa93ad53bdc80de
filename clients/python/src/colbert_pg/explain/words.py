"""Shared code of texts and images: words of subwords, their matches, and characters to show."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..encoders.protocol import Span
from ..multivector import MultiVector

Rows: TypeAlias = npt.NDArray[np.float64]

HEAT_COLOR = "255,120,0"

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_KEPT_CONTROLS = "\n\t"
# Joiners of letters and of emoji, marks of direction, and soft hyphens: they reorder no other text.
_KEPT_FORMATS = "\u200c\u200d\u200e\u200f\u061c\u00ad"
_CONTROLS = ("Cc", "Cf", "Cs")
_NONCHARACTERS = (0xFFFE, 0xFFFF)  # of each plane; XML has no form for them
_UNSPACED = ((0x2E80, 0xA4CF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))  # Chinese, Japanese, Yi


class Words:
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


def rows_of(tokens: MultiVector | npt.ArrayLike) -> Rows:
    """Return tokens as an array whose products do not overflow."""
    return np.asarray(MultiVector(tokens), np.float64)


def match(
    queries: Rows, docs: Rows, query_of_row: Sequence[int], doc_of_row: Sequence[int]
) -> tuple[Rows, dict[tuple[int, int], float]]:
    """Return the similarities of all rows, and what each pair adds to the score.

    query_of_row, doc_of_row: the number of the word or patch that a row belongs to.
    """
    if queries.shape[1] != docs.shape[1]:
        raise ValueError(f"expected {queries.shape[1]} dims, not {docs.shape[1]}")
    similarities = queries @ docs.T
    pairs: dict[tuple[int, int], float] = {}
    for row, best in enumerate(similarities.argmax(axis=1)):
        pair = (query_of_row[row], doc_of_row[best])
        pairs[pair] = pairs.get(pair, 0.0) + float(similarities[row, best])
    return similarities, pairs


def _continues(text: str, end: int, start: int) -> bool:
    """Return whether a token at start belongs to the word that ends at end."""
    return start < end or (start == end and _joins(text[end - 1]) and _joins(text[start]))


def _joins(character: str) -> bool:
    if any(first <= ord(character) <= last for first, last in _UNSPACED):
        return False
    return character.isalnum() or unicodedata.category(character).startswith("M")


def printable(text: str) -> str:
    """Replace control and format characters that are no part of plain text, and noncharacters."""
    return "".join(_REPLACEMENT if _is_unsafe(c) else c for c in text)


def _is_unsafe(character: str) -> bool:
    if character in _KEPT_CONTROLS or character in _KEPT_FORMATS:
        return False
    category = unicodedata.category(character)
    return category in _CONTROLS or ord(character) & 0xFFFF in _NONCHARACTERS
