"""Encoders of other libraries: sentence-transformers, PyLate and FastEmbed.

They take a loaded model, so no library is imported here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..multivector import MultiVector
from .images import PageEncoder, grid_boxes
from .protocol import (
    NO_TOKEN,
    NOWHERE,
    Box,
    BoxesUnknownError,
    Span,
    SpansUnknownError,
    TextEncoder,
    TextError,
    TextTooLongError,
    TooLong,
)


@dataclass
class _Tokens:
    """The tokens of a text, and their places in it."""

    ids: list[int]
    offsets: list[Span]

    def truncated(self, window: int, ids: list[int]) -> _Tokens:
        """Return the tokens within the window.

        ids: those of the model, of which the last may be the special token that ends every text.
        """
        if len(self.ids) <= window:
            return self
        kept = _Tokens(self.ids[:window], self.offsets[:window])
        if len(ids) == window and ids[-1] == self.ids[-1] != kept.ids[-1]:
            kept.ids[-1], kept.offsets[-1] = ids[-1], NOWHERE
        return kept


class LibraryEncoder(TextEncoder):
    """An encoder of a library, which itself truncates long texts without a word.

    too_long: a text of more tokens than the model reads is an error, or is truncated.
    """

    def __init__(self, model: Any, *, too_long: TooLong = "error", batch_size: int = 32) -> None:
        if too_long not in ("error", "truncate"):
            raise ValueError(f"expected too_long error or truncate, not {too_long!r}")
        self.model = model
        self._too_long = too_long
        self._batch_size = batch_size

    def encode(self, texts: list[str], *, query: bool) -> list[MultiVector]:
        """Encode texts as queries, or as documents. All are checked before the first is encoded."""
        if self._too_long == "error":
            self._check(texts, query=query)
        arrays = self._encode(texts, query=query)
        for number, array in enumerate(arrays, 1):
            if len(array) == 0:
                raise TextError(number, NO_TOKEN)
        return [MultiVector(array) for array in arrays]

    @abstractmethod
    def _check(self, texts: list[str], *, query: bool) -> None:
        """Raise an error for the first text that is too long."""

    @abstractmethod
    def _encode(self, texts: list[str], *, query: bool) -> Sequence[Any]:
        """Encode texts by the library."""


class TransformersEncoder(LibraryEncoder):
    """An encoder whose model has a fast tokenizer of transformers, and tells what it kept."""

    def spans(self, text: str, *, query: bool = False) -> list[Span]:
        """Return the start and end in the text of each row, in characters. It runs the model."""
        if self._too_long == "error":
            self._check([text], query=query)
        ids, kept = self._kept(text, query=query)
        prompt = self._prompt(query=query)
        tokens = self._tokenize(prompt + text, return_offsets_mapping=True)
        own_ids, offsets = list(tokens["input_ids"]), list(tokens["offset_mapping"])
        if self._has_marker(query=query):
            own_ids.insert(1, ids[1])
            offsets.insert(1, NOWHERE)
        own = _Tokens(own_ids, offsets).truncated(self._window(query=query), ids)
        expansion = len(ids) - len(own.ids)
        if own.ids != ids[: len(own.ids)] or len(kept) != len(ids) or (expansion and not query):
            raise SpansUnknownError(f"{type(self.model).__name__} has other tokens for this text")
        spans = own.offsets + [NOWHERE] * expansion
        return [
            (max(start - len(prompt), 0), max(end - len(prompt), 0))
            for (start, end), keep in zip(spans, kept, strict=True)
            if keep
        ]

    def _check(self, texts: list[str], *, query: bool) -> None:
        window, prompt = self._window(query=query), self._prompt(query=query)
        marker = self._has_marker(query=query)
        for number, text in enumerate(texts, 1):
            tokens = len(self._tokenize(prompt + text)["input_ids"]) + marker
            if tokens > window:
                raise TextTooLongError(number, tokens, window)

    def _tokenize(self, text: str, **options: Any) -> Any:
        """Return the tokens of a text, however many: a warning of a long text would be no news."""
        return self.model.tokenizer(text, verbose=False, **options)

    @abstractmethod
    def _kept(self, text: str, *, query: bool) -> tuple[list[int], list[bool]]:
        """Return the ids of all tokens of a text, and for which of them there is a row."""

    @abstractmethod
    def _prompt(self, *, query: bool) -> str:
        """Return the text that the model puts before each text."""

    @abstractmethod
    def _window(self, *, query: bool) -> int:
        """Return the maximum tokens per text, those that the model adds included."""

    def _has_marker(self, *, query: bool) -> bool:  # noqa: ARG002
        """Return whether the model adds a marker after the first token."""
        return False


class SentenceTransformersEncoder(PageEncoder, TransformersEncoder):
    """Encodes by a MultiVectorEncoder of sentence-transformers 6: texts, and images if it can."""

    @property
    def dims(self) -> int:
        """The number of dimensions of a token."""
        return int(self.model.get_embedding_dimension())

    def boxes(self, image: Any) -> list[Box]:
        """Return the left, top, right and bottom of each row, from 0 to 1. It runs the model."""
        from sentence_transformers.multi_vector_encoder import (  # noqa: PLC0415
            interpretability,
        )

        try:
            columns, rows = interpretability.get_n_patches(self.model, image.size)
        except (NotImplementedError, ValueError) as e:
            raise BoxesUnknownError(str(e)) from None
        ids, kept = self._kept(image, query=False)
        patch = self.model.processor.image_token_id
        patches = [token == patch for token, keep in zip(ids, kept, strict=True) if keep]
        return grid_boxes(patches, columns, rows)

    def _encode_images(self, images: list[Any]) -> list[MultiVector]:
        return [MultiVector(array) for array in self._encode(images, query=False)]

    def _encode(self, texts: list[Any], *, query: bool) -> Sequence[Any]:
        encode = self.model.encode_query if query else self.model.encode_document
        arrays: Sequence[Any] = encode(
            texts, batch_size=self._batch_size, show_progress_bar=False, convert_to_numpy=True
        )
        return arrays

    def _kept(self, text: Any, *, query: bool) -> tuple[list[int], list[bool]]:
        encode = self.model.encode_query if query else self.model.encode_document
        features = encode(text, show_progress_bar=False, output_value=None)
        return features["input_ids"].tolist(), features["attention_mask"].tolist()

    def _prompt(self, *, query: bool) -> str:
        names = ("query",) if query else ("document", "passage", "corpus")
        prompts = self.model.prompts
        return next((prompts[name] or "" for name in names if name in prompts), "")

    def _window(self, *, query: bool) -> int:
        transformer = self.model[0]
        own = transformer.query_length if query else transformer.document_length
        window = int(own or self.model.max_seq_length)
        expansion = transformer.query_expansion if query else None
        if expansion is None:
            return window
        length = int(expansion["length"])
        return length if expansion["strategy"] == "fixed" else max(length, window)


class PyLateEncoder(TransformersEncoder):
    """Encodes by a models.ColBERT of PyLate."""

    @property
    def dims(self) -> int:
        """The number of dimensions of a token."""
        return int(self.encode_query("a").shape[1])

    def _encode(self, texts: list[str], *, query: bool) -> Sequence[Any]:
        arrays: Sequence[Any] = self.model.encode(
            texts, batch_size=self._batch_size, show_progress_bar=False, is_query=query
        )
        return arrays

    def _kept(self, text: str, *, query: bool) -> tuple[list[int], list[bool]]:
        features = self.model.encode(
            text, show_progress_bar=False, is_query=query, output_value=None
        )
        return features["input_ids"].tolist(), features["masks"].tolist()

    def _prompt(self, *, query: bool) -> str:  # noqa: ARG002
        return self.model.prompts.get(self.model.default_prompt_name) or ""

    def _window(self, *, query: bool) -> int:
        return int(self.model.query_length if query else self.model.document_length)

    def _has_marker(self, *, query: bool) -> bool:
        marker = self.model.query_prefix_id if query else self.model.document_prefix_id
        return marker is not None


class FastEmbedEncoder(LibraryEncoder):
    """Encodes by a LateInteractionTextEmbedding of FastEmbed."""

    @property
    def dims(self) -> int:
        """The number of dimensions of a token."""
        return int(self.model.embedding_size)

    def spans(self, text: str, *, query: bool = False) -> list[Span]:
        """Return the start and end in the text of each row, in characters. It runs the model."""
        [doc] = self.encode([text], query=query)
        inner = self.model.model
        [encoding] = self._tokenizer(query=query).encode_batch([text])
        skipped: set[int] = set() if query else getattr(inner, "skip_list", set())
        spans = [
            span
            for token, span in zip(encoding.ids, encoding.offsets, strict=True)
            if token not in skipped
        ]
        if hasattr(inner, "DOCUMENT_MARKER_TOKEN_ID"):
            spans.insert(1, NOWHERE)
        if len(spans) != doc.shape[0]:
            raise SpansUnknownError(f"{type(inner).__name__} has other tokens for this text")
        return spans

    def _check(self, texts: list[str], *, query: bool) -> None:
        tokenizer = self._tokenizer(query=query)
        window = int(tokenizer.truncation["max_length"])
        for number, encoding in enumerate(tokenizer.encode_batch(texts), 1):
            if encoding.overflowing:
                rest = sum(part.special_tokens_mask.count(0) for part in encoding.overflowing)
                raise TextTooLongError(number, window + rest, window)

    def _encode(self, texts: list[str], *, query: bool) -> Sequence[Any]:
        if query:
            arrays = self.model.query_embed(texts)
        else:
            arrays = self.model.embed(texts, batch_size=self._batch_size)
        return [np.asarray(array, np.float32) for array in arrays]

    def _tokenizer(self, *, query: bool) -> Any:
        inner = self.model.model
        tokenizer = getattr(inner, "query_tokenizer", None) if query else None
        return tokenizer or inner.tokenizer
