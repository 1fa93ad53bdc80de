"""A uniform sample of the tokens of a column, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from ..multivector import MultiVector
from .devices import Floats32, Numbers, squared_lengths

if TYPE_CHECKING:
    import psycopg

    from .._names import Table

Similarity: TypeAlias = Literal["maxsim", "maxsim_cosine", "maxsim_l2"]

_MAX_EXPONENT = 126  # of a power of two that float32 holds, as it does the reciprocal
_LARGEST = 4096.0  # of the kept numbers: 16 times less than half precision holds
_SPARE = 1.25  # capacity of the buffer beside that of the sample
_SHOW_EVERY = 256  # rows


@dataclass(frozen=True)
class Sample:
    """Tokens as an index prepares them, in half precision."""

    tokens: Numbers
    scale: float
    """The factor, a power of two, that the tokens were multiplied by to fit half precision."""
    documents: int
    seen: int
    """All tokens that were read, without copies within a document."""


def check_similarity(similarity: str) -> None:
    if similarity not in get_args(Similarity):
        names = ", ".join(get_args(Similarity))
        raise ValueError(f"expected similarity {names}, not {similarity!r}")


class Sampler:
    """Keeps the tokens with the smallest of random keys: each set of tokens is as likely."""

    def __init__(self, capacity: int, dims: int, rng: np.random.Generator) -> None:
        self._capacity, self._rng = capacity, rng
        size = int(capacity * _SPARE) + 1
        self._tokens = np.empty((size, dims), np.float16)
        self._keys = np.empty(size)
        self._held, self._limit = 0, 1.0
        self.seen = 0

    def rescale(self, factor: float) -> None:
        """Multiply the tokens that are held."""
        held = self._tokens[: self._held]
        held[:] = held * np.float32(factor)

    def add(self, tokens: Floats32) -> None:
        """Offer tokens, whose numbers half precision must hold."""
        self.seen += len(tokens)
        keys = self._rng.random(len(tokens))
        chosen = np.flatnonzero(keys < self._limit)
        while len(chosen):
            room = len(self._keys) - self._held
            part, chosen = chosen[:room], chosen[room:]
            end = self._held + len(part)
            self._tokens[self._held : end], self._keys[self._held : end] = tokens[part], keys[part]
            self._held = end
            if self._held == len(self._keys):
                self._trim()
                chosen = chosen[keys[chosen] < self._limit]

    def _trim(self) -> None:
        if self._held <= self._capacity:
            return
        kept = np.argpartition(self._keys[: self._held], self._capacity)[: self._capacity]
        self._tokens[: len(kept)], self._keys[: len(kept)] = self._tokens[kept], self._keys[kept]
        self._held, self._limit = len(kept), float(self._keys[: len(kept)].max())

    def tokens(self) -> Numbers:
        """Return the sample, in random order."""
        self._trim()
        return self._tokens[: self._held][np.argsort(self._keys[: self._held])]


def sample_tokens(
    conn: psycopg.Connection[Any],
    table: Table,
    column: str,
    capacity: int,
    *,
    similarity: Similarity = "maxsim",
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda _documents, _tokens: None,
) -> Sample:
    """Sample tokens of all documents of a column.

    The memory is that of the sample, at most 4.5 bytes per dimension and 40 more per token, of a
    message of the server, and of one document.
    """
    from psycopg import sql  # noqa: PLC0415

    from .._names import identifier  # noqa: PLC0415
    from .rows import copy_binary  # noqa: PLC0415

    check_similarity(similarity)
    if capacity < 1:
        raise ValueError(f"expected a sample of at least one token, not {capacity}")
    statement = sql.SQL("SELECT {0} FROM {1} WHERE {0} IS NOT NULL").format(
        sql.Identifier(column), identifier(table)
    )
    sampler: Sampler | None = None
    dims, documents = 0, 0
    scale = 0.0
    for (document,) in copy_binary(conn, statement):
        if document is None:
            continue
        tokens = _prepared(MultiVector.from_binary(document), similarity)
        documents += 1
        if sampler is None:
            dims = tokens.shape[1]
            sampler = Sampler(capacity, dims, np.random.default_rng(seed))
        if tokens.shape[1] != dims:
            raise ValueError(f"expected {dims} dimensions in each document, not {tokens.shape[1]}")
        fitting = _scale_for(tokens, similarity, scale)
        if 0 < fitting < scale:
            sampler.rescale(fitting / scale)
        scale = fitting
        sampler.add(tokens * np.float32(scale or 1))
        if documents % _SHOW_EVERY == 0:
            progress(documents, sampler.seen)
    if sampler is None or sampler.seen == 0:
        raise ValueError(f"column {column} has no tokens")
    progress(documents, sampler.seen)
    return Sample(sampler.tokens(), scale or 1.0, documents, sampler.seen)


def _prepared(document: MultiVector, similarity: Similarity) -> Floats32:
    """Return the tokens that an index keeps: no copies, and no zero tokens but for L2."""
    tokens = _distinct(document.to_numpy().astype(np.float32) + np.float32(0))
    norms = np.sqrt(squared_lengths(tokens))
    if similarity == "maxsim_l2":
        return tokens
    tokens, norms = tokens[norms > 0], norms[norms > 0]
    if similarity == "maxsim_cosine":
        tokens = (tokens / norms[:, np.newaxis]).astype(np.float32)
    return tokens


def _distinct(tokens: Floats32) -> Floats32:
    """Return tokens without copies. For few rows a dict takes a fraction of numpy.unique's time."""
    data, size = tokens.tobytes(), tokens.itemsize * tokens.shape[1]
    first = {data[i * size : (i + 1) * size]: i for i in range(len(tokens) - 1, -1, -1)}
    return tokens if len(first) == len(tokens) else np.take(tokens, sorted(first.values()), 0)


def _scale_for(tokens: Floats32, similarity: Similarity, scale: float) -> float:
    """Return the power of two by which these tokens, and those before at `scale`, fit.

    The first tokens become about 1 long. If a later number is above _LARGEST at this scale, a
    smaller one is returned. 0: all tokens so far are 0, which any factor keeps.
    """
    if similarity == "maxsim_cosine":
        return 1.0
    largest = float(np.abs(tokens).max(initial=0))
    if largest == 0 or largest * scale > _LARGEST or scale == 0:
        return _scale_of(tokens) if largest > 0 else scale
    return scale


def _scale_of(tokens: Floats32) -> float:
    """Return the power of two that makes tokens about 1 long, as half precision needs."""
    mean = float(np.sqrt(np.mean(squared_lengths(tokens))))
    return float(2.0 ** np.clip(-np.round(np.log2(mean)), -_MAX_EXPONENT, _MAX_EXPONENT))
