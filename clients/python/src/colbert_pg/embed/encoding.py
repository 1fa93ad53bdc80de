"""Encode a batch of texts, whole or in chunks. A text that is refused stops no other."""

from __future__ import annotations

from dataclasses import dataclass, field

import psycopg

from ..encoders import Encoder, ServerError, Span, TextError, TextTooLongError
from ..multivector import Element, MultiVector
from .chunking import cut, split

_REASON_CHARACTERS = 500
_PROBE = "a"
_BUSY = (408, 429)


class EncoderFailedError(RuntimeError):
    """An encoder that encodes nothing. may_pass: it may do so later, as a server that restarts."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"the encoder failed: {reason_of(cause)}")
        if isinstance(cause, ServerError):
            self.may_pass = cause.status >= 500 or cause.status in _BUSY
        else:
            self.may_pass = isinstance(cause, OSError)


def reason_of(error: BaseException) -> str:
    """Return an error in a line that PostgreSQL takes."""
    text = error.message if isinstance(error, TextError) else str(error)
    if not isinstance(error, (ValueError, ServerError, psycopg.Error)):
        text = f"{type(error).__name__}: {text}"
    text = text.strip() or type(error).__name__
    line = text.splitlines()[0][:_REASON_CHARACTERS].replace("\0", "\\0")
    return line.encode(errors="replace").decode()


@dataclass(frozen=True)
class Chunk:
    """A part of a text, by its characters, and its embedding."""

    span: Span
    doc: MultiVector


@dataclass
class Encoded:
    """What became of a text: its chunks in order, or the reason why there are none."""

    chunks: list[Chunk] = field(default_factory=list)
    reason: str | None = None


@dataclass(frozen=True)
class _Piece:
    text: int  # the place of its text in the batch
    span: Span


@dataclass(frozen=True)
class Chunking:
    """size: maximum characters of a chunk, if there is a limit. overlap: maximum characters."""

    size: int | None
    overlap: int

    def spans(self, text: str) -> list[Span]:
        whole = [(0, len(text))]
        if self.size is None or len(text) <= self.size:
            return whole
        return cut(text, self.size, self.overlap) or whole


class BatchEncoder:
    """Encodes texts. Without chunking, each is one chunk, or is refused if it is too long."""

    def __init__(
        self, encoder: Encoder, element: Element | None, chunking: Chunking | None, batch: int
    ) -> None:
        self._encoder, self._element, self._batch = encoder, element, batch
        self._dims = encoder.dims
        self._chunking = chunking

    def encode(self, texts: list[str]) -> list[Encoded]:
        """Return what became of each text. Raise EncoderFailedError if the encoder is at fault."""
        results = [Encoded() for _ in texts]
        pieces = [
            _Piece(i, span) for i, text in enumerate(texts) for span in self._first_spans(text)
        ]
        groups = [pieces[i : i + self._batch] for i in range(0, len(pieces), self._batch)]
        while groups:
            group = [piece for piece in groups.pop() if results[piece.text].reason is None]
            if group:
                groups += self._encode_group(group, texts, results)
        for result in results:
            result.chunks.sort(key=lambda chunk: chunk.span)
        return results

    def _first_spans(self, text: str) -> list[Span]:
        return [(0, len(text))] if self._chunking is None else self._chunking.spans(text)

    def _encode_group(
        self, group: list[_Piece], texts: list[str], results: list[Encoded]
    ) -> list[list[_Piece]]:
        """Encode pieces, and return those to be tried again."""
        try:
            docs = self._call([texts[p.text][slice(*p.span)] for p in group])
        except TextError as e:
            if not 1 <= e.number <= len(group):
                raise EncoderFailedError(e) from e
            return self._without(group, e, texts, results)
        except EncoderFailedError:
            raise
        except Exception as e:
            self._probe(e)
            if len(group) > 1:
                middle = len(group) // 2
                return [group[middle:], group[:middle]]
            results[group[0].text].reason = reason_of(e)
            return []
        for piece, doc in zip(group, docs, strict=True):
            self._keep(results[piece.text], piece, doc)
        return []

    def _keep(self, result: Encoded, piece: _Piece, doc: MultiVector) -> None:
        try:
            doc = MultiVector(doc, self._element or doc.element)
        except ValueError as e:  # too large for the element
            result.reason = reason_of(e)
        else:
            result.chunks.append(Chunk(piece.span, doc))

    def _without(
        self, group: list[_Piece], error: TextError, texts: list[str], results: list[Encoded]
    ) -> list[list[_Piece]]:
        """Return a group without the piece that an error names, or with smaller ones."""
        place = error.number - 1
        piece, rest = group[place], group[:place] + group[place + 1 :]
        length = piece.span[1] - piece.span[0]
        if self._chunking is None or not isinstance(error, TextTooLongError) or length < 2:
            results[piece.text].reason = reason_of(error)
            return [rest]
        smaller = split(
            texts[piece.text], piece.span, error.tokens, error.window, self._chunking.overlap
        )
        if not smaller:  # white space
            results[piece.text].reason = reason_of(error)
            return [rest]
        pieces = rest + [_Piece(piece.text, span) for span in smaller]
        groups = [pieces[i : i + self._batch] for i in range(0, len(pieces), self._batch)]
        return groups[::-1]

    def _call(self, texts: list[str]) -> list[MultiVector]:
        docs = self._encoder.encode_document(texts)
        if len(docs) != len(texts):
            cause = ValueError(f"expected {len(texts)} multivectors of it, not {len(docs)}")
            raise EncoderFailedError(cause)
        for doc in docs:
            if doc.shape[1] != self._dims:
                cause = ValueError(f"expected {self._dims} dims of it, not {doc.shape[1]}")
                raise EncoderFailedError(cause)
        return docs

    def _probe(self, error: Exception) -> None:
        """Raise EncoderFailedError unless another text can be encoded."""
        try:
            self._call([_PROBE])
        except TextError:
            return
        except EncoderFailedError:
            raise
        except Exception as e:
            raise EncoderFailedError(e) from error
