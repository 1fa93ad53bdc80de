"""An encoder of 8 dims: a word is a token, and the same word has the same vector everywhere."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

import numpy as np

from colbert_pg import MultiVector
from colbert_pg.encoders import Span, TextEncoder, TextError, TextTooLongError

_WORD = re.compile(r"\S+")


class FakeEncoder(TextEncoder):
    """seen: the texts it has encoded. before: called with the texts of each call."""

    def __init__(self, *, dims: int = 8, window: int = 50) -> None:
        self._dims, self.window = dims, window
        self.seen: list[str] = []
        self.before: Callable[[list[str]], None] = lambda _texts: None

    @property
    def dims(self) -> int:
        return self._dims

    def encode(self, texts: list[str], *, query: bool) -> list[MultiVector]:  # noqa: ARG002
        self.before(texts)
        words = [_WORD.findall(text) for text in texts]
        for number, found in enumerate(words, 1):
            if not found or "bad" in found:
                raise TextError(number, "expected a good text")
            if len(found) > self.window:
                raise TextTooLongError(number, len(found), self.window)
            if "poison" in found:
                raise ValueError("this text is poison")
        self.seen += texts
        return [MultiVector(np.array([self.vector(word) for word in found])) for found in words]

    def spans(self, text: str, *, query: bool = False) -> list[Span]:  # noqa: ARG002
        return [match.span() for match in _WORD.finditer(text)]

    def vector(self, word: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        rows = np.random.default_rng(zlib.crc32(word.encode(errors="replace"))).normal(size=8)
        return np.resize(rows, self._dims)
