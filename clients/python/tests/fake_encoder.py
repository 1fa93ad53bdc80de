"""An encoder of 8 dims that tests can stop, and that refuses some texts."""

from __future__ import annotations

from collections.abc import Callable

from words import Words

from colbert_pg import MultiVector
from colbert_pg.encoders import TextError


class FakeEncoder(Words):
    """It refuses a text with the word bad, by its number, and one with poison, without it.

    before: called with the texts of each call.
    """

    def __init__(self, dims: int = 8, window: int = 50) -> None:
        super().__init__(dims, window)
        self.before: Callable[[list[str]], None] = lambda _texts: None

    def encode(self, texts: list[str], *, query: bool) -> list[MultiVector]:
        self.before(texts)
        for number, text in enumerate(texts, 1):
            if "bad" in text.split():
                raise TextError(number, "expected a good text")
        if any("poison" in text for text in texts):
            raise ValueError("this text is poison")
        return super().encode(texts, query=query)
