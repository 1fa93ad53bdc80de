"""What an encoder is, and what all encoders of text share."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any, Literal, Protocol, TypeAlias, overload

from ..multivector import MultiVector

Span: TypeAlias = tuple[int, int]
Box: TypeAlias = tuple[float, float, float, float]
Texts: TypeAlias = list[str] | tuple[str, ...]
File: TypeAlias = str | os.PathLike[str]
TooLong: TypeAlias = Literal["error", "truncate"]

NOWHERE: Span = (0, 0)
NO_TOKEN = "expected at least one token, not an empty text"


class TextError(ValueError):
    """A text that cannot be encoded. number: its place among the texts, from 1."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"text {number}: {message}")
        self.number = number
        self.message = message

    def renumbered(self, number: int) -> TextError:
        """Return the error for a text whose place is another one, such as in a longer list."""
        return TextError(number, self.message)


class TextTooLongError(TextError):
    """A text with more tokens than the encoder reads at once."""

    def __init__(self, number: int, tokens: int, window: int) -> None:
        super().__init__(number, f"expected at most {window} tokens, not {tokens}")
        self.tokens = tokens
        self.window = window

    def renumbered(self, number: int) -> TextTooLongError:
        """Return the error for a text whose place is another one, such as in a longer list."""
        return TextTooLongError(number, self.tokens, self.window)


class SpansUnknownError(LookupError):
    """An encoder that cannot tell which characters a row stands for."""


class BoxesUnknownError(LookupError):
    """An encoder that cannot tell which part of an image a row stands for."""


class QueryEncoder(Protocol):
    """Makes multivectors of queries: one of a string, a list of a list or tuple of strings."""

    @property
    def dims(self) -> int:
        """The number of dimensions of a token."""

    @overload
    def encode_query(self, texts: str) -> MultiVector: ...
    @overload
    def encode_query(self, texts: Texts) -> list[MultiVector]: ...

    def spans(self, text: str, *, query: bool = False) -> list[Span]:
        """Return the start and end in the text of each row, in characters.

        query: of the rows of encode_query, not of encode_document. The span of a row that stands
        for no part of the text is empty. Encoders on a server raise SpansUnknownError.
        """


class Encoder(QueryEncoder, Protocol):
    """Makes multivectors of texts."""

    @overload
    def encode_document(self, texts: str) -> MultiVector: ...
    @overload
    def encode_document(self, texts: Texts) -> list[MultiVector]: ...


class ImageEncoder(QueryEncoder, Protocol):
    """Makes multivectors of images, such as pages, and of the texts that search them.

    Images are objects of the encoder's library, usually of PIL.
    """

    def encode_image(self, images: Any) -> Any:
        """Encode an image as a MultiVector, or a list or tuple of images as a list of them."""

    def boxes(self, image: Any) -> list[Box]:
        """Return the left, top, right and bottom of each row of encode_image.

        They are fractions of the image's width and height, from 0 to 1. The box of a row that
        stands for no part of the image is empty: all zero. Encoders that cannot tell raise
        BoxesUnknownError.
        """


class TextEncoder(ABC):
    """An Encoder by two methods: dims, and one that encodes a list of texts."""

    @property
    @abstractmethod
    def dims(self) -> int:
        """The number of dimensions of a token."""

    @abstractmethod
    def encode(self, texts: list[str], *, query: bool) -> list[MultiVector]:
        """Encode texts as queries, or as documents."""

    @abstractmethod
    def spans(self, text: str, *, query: bool = False) -> list[Span]:
        """Return the start and end in the text of each row, in characters."""

    @overload
    def encode_query(self, texts: str) -> MultiVector: ...
    @overload
    def encode_query(self, texts: Texts) -> list[MultiVector]: ...
    def encode_query(self, texts: str | Texts) -> MultiVector | list[MultiVector]:
        """Encode a query, or several."""
        return self._one_or_many(texts, query=True)

    @overload
    def encode_document(self, texts: str) -> MultiVector: ...
    @overload
    def encode_document(self, texts: Texts) -> list[MultiVector]: ...
    def encode_document(self, texts: str | Texts) -> MultiVector | list[MultiVector]:
        """Encode a document, or several."""
        return self._one_or_many(texts, query=False)

    def _one_or_many(self, texts: str | Texts, *, query: bool) -> MultiVector | list[MultiVector]:
        given = [texts] if isinstance(texts, str) else list(texts)
        for number, text in enumerate(given, 1):
            check_unicode(number, text)
        if isinstance(texts, str):
            [only] = self.encode(given, query=query)
            return only
        return self.encode(given, query=query) if given else []


def check_unicode(number: int, text: str) -> None:
    """Refuse a text with lone surrogates, such as an argument of a command that is not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as e:
        raise TextError(number, f"expected Unicode: {e}") from None
