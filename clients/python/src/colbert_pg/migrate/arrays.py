"""Token embeddings of many documents in one array, with the number of tokens of each document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_CHUNK = re.compile(r"doclens\.(\d+)\.json")


def split_tokens(tokens: npt.ArrayLike, doclens: Iterable[int]) -> Iterator[Array | None]:
    """Yield the tokens of each document; None, which is NULL in SQL, for one without tokens.

    tokens: an array of shape (tokens of all documents, dims).
    doclens: the number of tokens of each document, in their order.
    """
    rows = np.asarray(tokens)
    if rows.ndim != 2:
        raise ValueError(f"expected an array of (tokens, dims), not of shape {rows.shape}")
    lengths = [int(length) for length in doclens]
    if any(length < 0 for length in lengths) or sum(lengths) != len(rows):
        raise ValueError(f"the lengths of documents must add up to {len(rows)} tokens")
    return _split(rows, lengths)


def _split(rows: Array, lengths: list[int]) -> Iterator[Array | None]:
    start = 0
    for length in lengths:
        yield rows[start : start + length] if length else None
        start += length


def read_plaid(folder: str | Path) -> Iterator[Array | None]:
    """Yield the documents of a PLAID index, decompressed, in the order of their numbers.

    folder: an index of next-plaid or fast-plaid, whose arrays are .npy files. If next-plaid keeps
    signs alone (binary), tokens consist of 1 and -1.
    """
    folder = Path(folder)
    chunks = sorted(
        int(found[1]) for path in folder.iterdir() if (found := _CHUNK.fullmatch(path.name))
    )
    if not chunks or chunks != list(range(len(chunks))):
        raise ValueError(f"{folder} has not all of doclens.0.json, doclens.1.json, ...")
    codec = _Signs(folder) if _is_binary(folder / "metadata.json") else _Codec(folder)
    for chunk in chunks:
        codes = _load(folder / f"{chunk}.codes.npy")
        residuals = _load(folder / f"{chunk}.residuals.npy")
        lengths = json.loads((folder / f"doclens.{chunk}.json").read_text())
        yield from split_tokens(codec.decompress(codes, residuals), lengths)


def _load(path: Path) -> Array:
    array: Array = np.load(path, allow_pickle=False)
    return array


def _is_binary(metadata: Path) -> bool:
    return metadata.exists() and bool(json.loads(metadata.read_text()).get("binary"))


def _unpack(packed: Array, ntokens: int, nbits: int) -> Array:
    """Return the bits of each token. packed: whole bytes per token."""
    if packed.shape != (ntokens, (nbits + 7) // 8):
        raise ValueError(f"residuals of {ntokens} tokens have the shape {packed.shape}")
    return np.unpackbits(packed.astype(np.uint8), axis=1)[:, :nbits]


class _Signs:
    """How next-plaid compresses a token to signs: a bit per dimension."""

    def __init__(self, folder: Path) -> None:
        self.dims = _load(folder / "centroids.npy").shape[1]

    def decompress(self, codes: Array, residuals: Array) -> Array:
        """Return tokens of 1 and -1."""
        return 2 * _unpack(residuals, len(codes), self.dims).astype(np.int8) - 1


class _Codec:
    """How PLAID compresses a token: its nearest centroid, and a bucket per dimension."""

    def __init__(self, folder: Path) -> None:
        self.centroids = _load(folder / "centroids.npy").astype(np.float32)
        self.weights = _load(folder / "bucket_weights.npy").astype(np.float32)
        self.nbits = len(self.weights).bit_length() - 1
        if self.weights.shape != (1 << self.nbits,) or self.nbits not in {1, 2, 4, 8}:
            raise ValueError(f"expected 2, 4, 16 or 256 weights, not {self.weights.shape}")

    def decompress(self, codes: Array, residuals: Array) -> Array:
        """Return tokens of length 1. codes: centroids. residuals: packed buckets, as bytes."""
        dims = self.centroids.shape[1]
        bits = _unpack(residuals, len(codes), dims * self.nbits)
        if len(codes) and not 0 <= codes.min() <= codes.max() < len(self.centroids):
            raise ValueError(f"expected centroids below {len(self.centroids)}")
        # A bucket's bits are in the order of bytes, but its lowest bit comes first.
        buckets = bits.reshape(len(codes), dims, self.nbits) @ (1 << np.arange(self.nbits))
        tokens: Array = self.centroids[codes] + self.weights[buckets]
        tokens /= np.maximum(np.linalg.norm(tokens, axis=1, keepdims=True), 1e-12)
        return tokens
