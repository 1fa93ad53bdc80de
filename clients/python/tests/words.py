"""An encoder for tests: a word is a vector, equal words are equal vectors."""

from __future__ import annotations

import re
import zlib

import numpy as np
import numpy.typing as npt

from colbert_pg import MultiVector
from colbert_pg.encoders import Span, TextEncoder, TextError, TextTooLongError

_WORD = re.compile(r"\w+")


class Words(TextEncoder):
    """Encodes words of a text, and refuses a text without words, or with too many."""

    def __init__(self, dims: int = 16, window: int = 50) -> None:
        self._dims, self._window = dims, window
        self.encoded: list[str] = []

    @property
    def dims(self) -> int:
        return self._dims

    def encode(self, texts: list[str], *, query: bool) -> list[MultiVector]:
        assert query in (True, False)
        found = [_WORD.findall(text.lower()) for text in texts]
        for number, words in enumerate(found, 1):
            if not words:
                raise TextError(number, "expected a word")
            if len(words) > self._window:
                raise TextTooLongError(number, len(words), self._window)
        self.encoded += texts
        return [MultiVector(np.stack([self._vector(word) for word in words])) for words in found]

    def spans(self, text: str, *, query: bool = False) -> list[Span]:
        assert query in (True, False)
        return [found.span() for found in _WORD.finditer(text)]

    def _vector(self, word: str) -> npt.NDArray[np.float32]:
        random = np.random.default_rng(zlib.crc32(word.encode(errors="replace")))
        vector = random.normal(size=self._dims)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)
