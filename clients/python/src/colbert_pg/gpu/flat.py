"""FlatMaxSim: exhaustive MaxSim of batches of queries, on one device or several.

Documents stay on their devices as halves, bytes or floats, whatever the column has. A search
multiplies blocks of documents by all query tokens, takes the largest product of each document and
query token, and adds them up per query.

Scores differ from those of the server by rounding: products are float32 sums, and so are the sums
over query tokens. The difference is below TOLERANCE times the sum of the lengths of the query
tokens times the length of the longest document token. For L2 it is that of a square root: near 0, a
distance differs by up to the square root of that bound.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from ..multivector import MultiVector
from .devices import Device, Floats32, Indexes, Numbers, make_devices, squared_lengths
from .sample import Similarity, check_similarity

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

    from .._names import Table
    from .rows import Id

Store: TypeAlias = Literal["float4", "float2", "int8"]

TOLERANCE = 1e-5
_CHUNK_BYTES = 1 << 28  # of documents that go to a device together
_MIN_ROWS = 256  # document tokens per block of products, unless a single query has too many tokens
_MAX_SCORES = 1 << 24  # of documents and queries that are scored together, on a CPU
_SHOW_EVERY = 256


@dataclass(frozen=True)
class Hit:
    """A document and its score: for maxsim_l2 the distance, as in SQL."""

    id: Id
    score: float


@dataclass
class _Pending:
    """Documents that are not on a device yet."""

    ids: list[Id] = field(default_factory=list)
    rows: list[Numbers] = field(default_factory=list)
    factors: list[Floats32] = field(default_factory=list)
    addends: list[Floats32] = field(default_factory=list)
    bytes: int = 0


@dataclass(frozen=True)
class _Chunk:
    """Documents on a device, with the first row of each."""

    device: Device
    first: int  # number of its first document
    rows: Any
    factors: Any
    addends: Any
    starts: Indexes  # one more than documents


@dataclass(frozen=True)
class _Queries:
    """Some queries of a batch, padded to the same number of tokens."""

    tokens: Floats32  # all tokens, one query after the other
    weights: Floats32  # (queries, tokens): 1, and 0 for padding
    squares: Floats32 | None  # |q|^2, for L2


class FlatMaxSim:
    """Exact answers from all documents, without an index.

    device: numpy, cpu, cuda, cuda:1 and so on; devices: several, among which the documents are
    divided. similarity: maxsim, maxsim_cosine or maxsim_l2. store: the elements of documents on
    the device; by default those of the column, with which scores are those of the server.
    chunk_bytes: size of the parts in which documents go to the devices, in turns.
    """

    def __init__(
        self,
        *,
        device: str = "cpu",
        devices: Sequence[str] | None = None,
        similarity: Similarity = "maxsim",
        store: Store | None = None,
        chunk_bytes: int = _CHUNK_BYTES,
    ) -> None:
        check_similarity(similarity)
        self._devices = make_devices(device, devices)
        self._similarity, self._store, self._chunk_bytes = similarity, store, chunk_bytes
        self._pending = _Pending()
        self._chunks: list[_Chunk] = []
        self._ids: list[Id] = []
        self._element: str | None = store
        self.dims: int | None = None

    def __len__(self) -> int:
        return len(self._ids) + len(self._pending.ids)

    def load(
        self,
        conn: psycopg.Connection[Any],
        table: Table,
        column: str = "doc",
        *,
        id_column: str = "id",
        where: str | sql.Composable | None = None,
        progress: Callable[[int], None] = lambda _documents: None,
    ) -> int:
        """Load the documents of a table by COPY, and return their number. NULLs are left out.

        If it fails, it adds none.
        """
        from .rows import read_documents  # noqa: PLC0415

        before = len(self)
        with self._all_or_none():
            for id_, document in read_documents(conn, table, column, id_column, where):
                self._add(id_, document)
                if (len(self) - before) % _SHOW_EVERY == 0:
                    progress(len(self) - before)
        progress(len(self) - before)
        return len(self) - before

    def add(self, ids: Iterable[Id], documents: Iterable[Any]) -> None:
        """Add documents: multivectors, or arrays of (tokens, dims). If it fails, it adds none."""
        with self._all_or_none():
            for id_, document in zip(ids, documents, strict=True):
                self._add(id_, MultiVector(document))

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """Keep the documents added inside the block, or remove them if it raises."""
        documents, chunks, dims, element = (
            len(self._ids),
            len(self._chunks),
            self.dims,
            self._element,
        )
        try:
            yield
            self._flush()
        except BaseException:
            self._pending = _Pending()
            del self._ids[documents:], self._chunks[chunks:]
            self.dims, self._element = dims, element
            raise

    def _add(self, id_: Id, document: MultiVector) -> None:
        if self.dims is None:
            self.dims = document.shape[1]
        if document.shape[1] != self.dims:
            raise ValueError(f"document {id_}: expected {self.dims} dimensions, "
                             f"not {document.shape[1]}")  # fmt: skip
        if self._element is None:
            self._element = document.element
        if document.element != self._element:
            document = MultiVector(document, self._element)  # type: ignore[arg-type]
        rows, scales = document.codes()
        pending = self._pending
        pending.ids.append(id_)
        pending.rows.append(rows)
        pending.bytes += rows.nbytes
        norms = _norms(document) if self._similarity != "maxsim" else None
        factors = np.ones(len(rows), np.float32) if scales is None else scales
        if norms is not None and self._similarity == "maxsim_cosine":
            factors = np.divide(factors, norms, out=np.zeros_like(factors), where=norms > 0)
        pending.factors.append(factors)
        if norms is not None and self._similarity == "maxsim_l2":
            pending.addends.append((-(norms.astype(np.float64) ** 2) / 2).astype(np.float32))
        if pending.bytes >= self._chunk_bytes:
            self._flush()

    def _flush(self) -> None:
        pending, self._pending = self._pending, _Pending()
        if not pending.ids:
            return
        device = self._devices[len(self._chunks) % len(self._devices)]
        lengths = [len(rows) for rows in pending.rows]
        plain = self._element != "int8" and self._similarity != "maxsim_cosine"
        self._chunks.append(
            _Chunk(
                device,
                len(self._ids),
                device.put(np.concatenate(pending.rows)),
                None if plain else device.put(np.concatenate(pending.factors)),
                device.put(np.concatenate(pending.addends)) if pending.addends else None,
                np.r_[0, np.cumsum(lengths)].astype(np.int64),
            )
        )
        self._ids += pending.ids

    def search(
        self, queries: Iterable[Any], k: int = 10, *, ids: Collection[Id] | None = None
    ) -> list[list[Hit]]:
        """Return the k best documents of each query, the best first; equal scores in load order.

        queries: multivectors, or arrays of (tokens, dims). ids: consider only these documents.
        """
        if k < 1:
            raise ValueError(f"expected a k of at least 1, not {k}")
        allowed = self._allowed(ids)
        sign = -1.0 if self._similarity == "maxsim_l2" else 1.0
        hits: list[list[Hit]] = []
        for part in self._parts([self._prepared(query) for query in queries]):
            for documents, scores in self._best(part, k, allowed):
                hits.append(
                    [Hit(self._ids[d], sign * float(s))
                     for d, s in zip(documents, scores, strict=True)]
                )  # fmt: skip
        return hits

    def _allowed(self, ids: Collection[Id] | None) -> Indexes | None:
        """Return the numbers of the documents that have one of the ids."""
        if ids is None:
            return None
        wanted = ids if isinstance(ids, (set, frozenset)) else set(ids)
        found = [number for number, id_ in enumerate(self._ids) if id_ in wanted]
        return np.array(found, np.int64)

    def _prepared(self, query: Any) -> Floats32:
        tokens = MultiVector(query).to_numpy().astype(np.float32)
        if self.dims is not None and tokens.shape[1] != self.dims:
            raise ValueError(f"expected queries of {self.dims} dimensions, not {tokens.shape[1]}")
        if self._similarity == "maxsim_cosine":
            norms = np.sqrt(squared_lengths(tokens))
            tokens = (tokens / np.where(norms > 0, norms, 1)[:, np.newaxis]).astype(np.float32)
        return tokens

    def _parts(self, queries: list[Floats32]) -> Iterator[_Queries]:
        """Divide queries into parts whose scores of all documents, and products, fit in memory."""
        products = min(device.max_products for device in self._devices)
        gpu = products > _MAX_SCORES
        size = max(1, (8 if gpu else 1) * _MAX_SCORES // max(len(self._ids), 1))
        lengths = [len(query) for query in queries]
        for start, end in _batches(lengths, size, products // _MIN_ROWS):
            part = queries[start:end]
            longest = max(lengths[start:end])
            tokens = np.zeros((len(part), longest, part[0].shape[1]), np.float32)
            weights = np.zeros((len(part), longest), np.float32)
            for i, query in enumerate(part):
                tokens[i, : len(query)], weights[i, : len(query)] = query, 1
            squares = None
            if self._similarity == "maxsim_l2":
                squares = np.einsum("qti,qti->qt", tokens, tokens)
            yield _Queries(tokens.reshape(-1, tokens.shape[2]), weights, squares)

    def _best(
        self, queries: _Queries, k: int, allowed: Indexes | None
    ) -> Iterator[tuple[Indexes, Floats32]]:
        """Yield documents and scores of the k best of each query."""
        prepared = {id(device): device.query(queries.tokens) for device in self._devices}
        found = []
        for chunk in self._chunks:
            chosen = None
            if allowed is not None:
                end = chunk.first + len(chunk.starts) - 1
                chosen = allowed[(allowed >= chunk.first) & (allowed < end)] - chunk.first
                if len(chosen) == 0:
                    continue
            scores = _scores(chunk, prepared[id(chunk.device)], queries, chosen)
            found.append((chunk, chosen, chunk.device.best(scores, k)))
        merged: list[list[tuple[Indexes, Floats32]]] = [[] for _ in queries.weights]
        for chunk, chosen, (query, document, score) in found:
            numbers = chunk.first + (document if chosen is None else chosen[document])
            cuts = np.searchsorted(query, np.arange(1, len(merged)))
            for parts, d, s in zip(merged, np.split(numbers, cuts), np.split(score, cuts),
                                   strict=True):  # fmt: skip
                parts.append((d, s))
        for parts in merged:
            documents = np.concatenate([d for d, _ in parts] or [np.zeros(0, np.int64)])
            values = np.concatenate([s for _, s in parts] or [np.zeros(0, np.float32)])
            order = np.lexsort((documents, -values))[:k]
            yield documents[order], values[order]


def _batches(lengths: list[int], size: int, tokens: int) -> Iterator[tuple[int, int]]:
    """Divide queries into runs of at most this size and padded tokens, or of one query."""
    start = longest = 0
    for end, length in enumerate(lengths):
        longest = max(longest, length)
        full = end - start >= size or (end - start + 1) * longest > tokens
        if full and end > start:
            yield start, end
            start, longest = end, length
    if start < len(lengths):
        yield start, len(lengths)


def _norms(document: MultiVector) -> Floats32:
    return np.sqrt(squared_lengths(document.to_numpy())).astype(np.float32)


def _scores(chunk: _Chunk, query: Any, queries: _Queries, chosen: Indexes | None) -> Any:
    """Return the scores of the documents of a chunk, all or chosen ones, on its device."""
    rows, factors, addends, starts = chunk.rows, chunk.factors, chunk.addends, chunk.starts
    if chosen is not None:
        lengths = starts[chosen + 1] - starts[chosen]
        ends = np.cumsum(lengths)
        at = np.repeat(starts[chosen] - (ends - lengths), lengths) + np.arange(ends[-1])
        places = chunk.device.put(at)
        rows = rows[places]
        factors = None if factors is None else factors[places]
        addends = None if addends is None else addends[places]
        starts = np.r_[0, ends]
    parts = []
    for first, end in _runs(starts, chunk.device.max_products // len(queries.tokens)):
        a, b = int(starts[first]), int(starts[end])
        maxima = chunk.device.maxima(
            rows[a:b],
            query,
            starts[first:end] - a,
            None if factors is None else factors[a:b],
            None if addends is None else addends[a:b],
        )
        parts.append(chunk.device.fold(maxima, queries.weights, queries.squares))
    return chunk.device.join(parts)


def _runs(starts: Indexes, rows: int) -> Iterator[tuple[int, int]]:
    """Divide documents into runs of at most this many rows, or of one document."""
    first, n = 0, len(starts) - 1
    while first < n:
        end = int(np.searchsorted(starts, starts[first] + max(rows, 1), side="right")) - 1
        end = min(max(end, first + 1), n)
        yield first, end
        first = end
