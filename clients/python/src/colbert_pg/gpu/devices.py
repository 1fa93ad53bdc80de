"""Array operations on one device: numpy, or torch on a CPU or a GPU.

All code of this package calls these operations, so a run without torch tests everything but them.
Rows are float16, float32 or int8 on the device and float32 in every product. Large products are
computed in blocks of at most max_products numbers.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[Any]
Floats32: TypeAlias = npt.NDArray[np.float32]
Floats64: TypeAlias = npt.NDArray[np.float64]
Indexes: TypeAlias = npt.NDArray[np.int64]

_CPU_PRODUCTS = 1 << 22  # 16 MiB of float32, which caches still help
_GPU_PRODUCTS = 1 << 28
_FEW_QUERY_TOKENS = 64


class Device(Protocol):
    """The operations. An array of the device is of its own type, Any here."""

    name: str
    max_products: int

    def put(self, array: Numbers) -> Any:
        """Copy an array to the device."""

    def get(self, array: Any) -> Numbers:
        """Copy an array from the device."""

    def floats(self, rows: Any, at: Indexes | None = None) -> Any:
        """Return rows, all or those at places, as float32."""

    def nearest(self, points: Any, centroids: Floats32) -> tuple[Indexes, Floats32]:
        """Return the nearest centroid of each point, and its key <x, c> - |c|^2 / 2."""

    def nearest_few(self, points: Any, centroids: Floats32, k: int) -> tuple[Indexes, Floats32]:
        """Return the k nearest centroids of each point with their keys, nearest first."""

    def sums(self, points: Any, owner: Indexes, n: int) -> Floats64:
        """Return the sum of the points of each of n owners."""

    def query(self, tokens: Floats32) -> Any:
        """Prepare query tokens for maxima."""

    def maxima(
        self, rows: Any, query: Any, starts: Indexes, factors: Any = None, addends: Any = None
    ) -> Any:
        """Return the largest key of each run of rows with each query token.

        A key is <row, token>, times the row's factor, plus its addend. Run i begins at row
        starts[i], and the last one ends with the rows.
        """

    def fold(self, maxima: Any, weights: Floats32, squares: Floats32 | None) -> Any:
        """Return a score per document and query, from maxima of all query tokens.

        weights: (queries, tokens), 0 for padding. squares: |q|^2, if maxima are keys of L2, whose
        score is minus the sum of distances.
        """

    def join(self, parts: list[Any]) -> Any:
        """Return arrays one after the other."""

    def best(self, scores: Any, k: int) -> tuple[Indexes, Indexes, Floats32]:
        """Return query, document and score of all that reach the k-th best of their query."""


def make_device(name: str = "cpu") -> Device:
    """Return the device of a name: numpy, cpu, cuda, cuda:1 and so on.

    cpu is torch's if torch is installed, and otherwise numpy.
    """
    if name == "numpy" or (name == "cpu" and importlib.util.find_spec("torch") is None):
        return NumpyDevice()
    try:
        return TorchDevice(name)
    except ImportError:
        raise ImportError(
            f"device {name!r} needs torch: pip install 'colbert-pg[gpu]', or use numpy"
        ) from None
    except (AssertionError, RuntimeError) as e:  # torch without CUDA fails by assertion
        raise RuntimeError(f"torch cannot use device {name!r}: {e}") from e


def make_devices(device: str, devices: Sequence[str] | None) -> list[Device]:
    """Return one device, or several if devices are given."""
    names = [device] if devices is None else list(devices)
    if not names:
        raise ValueError("expected at least one device")
    return [make_device(name) for name in names]


def blocks(n: int, size: int) -> Iterator[slice]:
    """Yield slices of at most size that cover n."""
    size = max(size, 1)
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def squared_lengths(rows: Numbers) -> Floats64:
    squares: Floats64 = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    return squares


def by_owner(owner: Indexes, n: int) -> tuple[Indexes, Indexes]:
    """Return the places of the points in order of their owners, and where each of n begins.

    The second array has one more element than owners. Places of one owner ascend.
    """
    # numpy sorts integers of 16 bits by radix
    order = np.argsort(owner.astype(np.min_scalar_type(n)), kind="stable")
    counts = np.bincount(owner, minlength=n)
    return order, np.r_[0, np.cumsum(counts)].astype(np.int64)


def half_squares(centroids: Floats32) -> Floats32:
    return (squared_lengths(centroids) / 2).astype(np.float32)


class NumpyDevice:
    """The operations by numpy, on the CPU."""

    name = "numpy"
    max_products = _CPU_PRODUCTS

    def put(self, array: Numbers) -> Numbers:
        return np.ascontiguousarray(array)

    def get(self, array: Numbers) -> Numbers:
        return array

    def floats(self, rows: Numbers, at: Indexes | None = None) -> Floats32:
        return (rows if at is None else rows[at]).astype(np.float32)

    def nearest(self, points: Floats32, centroids: Floats32) -> tuple[Indexes, Floats32]:
        found, keys = self.nearest_few(points, centroids, 1)
        return found[:, 0], keys[:, 0]

    def nearest_few(
        self, points: Floats32, centroids: Floats32, k: int
    ) -> tuple[Indexes, Floats32]:
        k = min(k, len(centroids))
        found = np.empty((len(points), k), np.int64)
        best = np.empty((len(points), k), np.float32)
        halves = half_squares(centroids)
        for part in blocks(len(points), self.max_products // len(centroids)):
            keys = points[part].astype(np.float32, copy=False) @ centroids.T
            keys -= halves
            rows = np.arange(len(keys))
            for i in range(k):  # k is small: a pass for each is faster than a sort
                at = keys.argmax(axis=1)
                found[part, i] = at
                best[part, i] = keys[rows, at]
                if i + 1 < k:
                    keys[rows, at] = -np.inf
        return found, best

    def sums(self, points: Numbers, owner: Indexes, n: int) -> Floats64:
        result = np.zeros((n, points.shape[1]))
        order, _ = by_owner(owner, n)
        for part in blocks(len(points), self.max_products // points.shape[1]):
            owners, rows = owner[order[part]], points[order[part]].astype(np.float64)
            ends = np.flatnonzero(np.r_[owners[1:] != owners[:-1], True]) + 1
            start = 0
            # a call for each owner takes a fifth of the time of reduceat
            for of, end in zip(owners[ends - 1].tolist(), ends.tolist(), strict=True):
                result[of] += np.add.reduce(rows[start:end])
                start = end
        return result

    def query(self, tokens: Floats32) -> Floats32:
        return np.ascontiguousarray(tokens.T, np.float32)

    def maxima(
        self,
        rows: Numbers,
        query: Floats32,
        starts: Indexes,
        factors: Floats32 | None = None,
        addends: Floats32 | None = None,
    ) -> Floats32:
        keys = rows.astype(np.float32) @ query
        if factors is not None:
            keys *= factors[:, np.newaxis]
        if addends is not None:
            keys += addends[:, np.newaxis]
        if keys.shape[1] < _FEW_QUERY_TOKENS:
            return np.maximum.reduceat(keys, starts, axis=0)
        # four times as fast as reduceat if a row is long
        ends = np.r_[starts[1:], len(keys)]
        found = np.empty((len(starts), keys.shape[1]), np.float32)
        for document, (start, end) in enumerate(zip(starts, ends, strict=True)):
            keys[start:end].max(axis=0, out=found[document])
        return found

    def fold(self, maxima: Floats32, weights: Floats32, squares: Floats32 | None) -> Floats32:
        terms = maxima.reshape(-1, *weights.shape)
        if squares is not None:
            terms = -np.sqrt(np.maximum(squares - 2 * terms, 0))
        scores: Floats32 = np.einsum("nqt,qt->nq", terms, weights, dtype=np.float32)
        return scores

    def join(self, parts: list[Floats32]) -> Floats32:
        return np.concatenate(parts)

    def best(self, scores: Floats32, k: int) -> tuple[Indexes, Indexes, Floats32]:
        by_query = np.ascontiguousarray(scores.T)
        k = min(k, by_query.shape[1])
        least = -np.partition(-by_query, k - 1, axis=1)[:, k - 1 : k]
        query, document = np.nonzero(by_query >= least)
        return query, document, by_query[query, document]


class TorchDevice:
    """The operations by torch, on a CPU or a GPU.

    Products are in float32, without TF32. On a GPU whose torch multiplies halves into float32,
    rows of halves and bytes are not widened: a query token is the sum of two halves, which keep 22
    bits of it, and each has products of its own.
    """

    def __init__(self, name: str) -> None:
        import torch  # noqa: PLC0415

        self._torch: Any = torch
        self._device = torch.device(name)
        self.put(np.zeros(1, np.float32))  # fails now if there is no such device
        if self._device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = False
        self.name = name
        self.max_products = _CPU_PRODUCTS if self._device.type == "cpu" else _GPU_PRODUCTS
        self.splits = self._device.type == "cuda" and self._multiplies_halves()

    def _multiplies_halves(self) -> bool:
        """Return whether products of halves into float32 work, and are as exact as they should."""
        torch = self._torch
        numbers = np.random.default_rng(0).standard_normal((256, 128)).astype(np.float32)
        rows = numbers.astype(np.float16)
        try:
            found = self._products(self.put(rows), self._split(self.put(numbers).T))
        except (RuntimeError, TypeError):
            return False
        exact = torch.from_numpy(rows.astype(np.float64) @ numbers.T.astype(np.float64))
        return bool((found.cpu().double() - exact).abs().max() < 1e-4)

    def _split(self, query: Any) -> tuple[Any, float]:
        """Return the halves of a transposed query, side by side, and the factor they have.

        The factor, a power of two, keeps the second half in the range of normal halves.
        """
        torch = self._torch
        largest = float(query.abs().max()) or 1.0
        factor = float(2.0 ** (12 - np.floor(np.log2(largest))))
        scaled = query * factor
        high = scaled.half()
        low = (scaled - high.float()).half()
        return torch.cat([high, low], 1), factor

    def _products(self, rows: Any, query: Any) -> Any:
        """Return the products of rows with a query, split or of float32."""
        torch = self._torch
        if not isinstance(query, tuple):
            return rows.float() @ query
        halves, factor = query
        both = torch.mm(rows.half(), halves, out_dtype=torch.float32)
        n = halves.shape[1] // 2
        return (both[:, :n] + both[:, n:]) / factor

    def put(self, array: Numbers) -> Any:
        tensor = self._torch.from_numpy(np.array(array, order="C"))
        return tensor.to(self._device)

    def get(self, array: Any) -> Numbers:
        numbers: Numbers = array.cpu().numpy()
        return numbers

    def floats(self, rows: Any, at: Indexes | None = None) -> Any:
        return (rows if at is None else rows[self.put(at)]).float()

    def nearest(self, points: Any, centroids: Floats32) -> tuple[Indexes, Floats32]:
        found, keys = self.nearest_few(points, centroids, 1)
        return found[:, 0], keys[:, 0]

    def nearest_few(self, points: Any, centroids: Floats32, k: int) -> tuple[Indexes, Floats32]:
        torch = self._torch
        transposed, halves = self.put(centroids).T, self.put(half_squares(centroids))
        found, best = [], []
        for part in blocks(len(points), self.max_products // len(centroids)):
            keys = points[part].float() @ transposed - halves
            values, at = torch.topk(keys, min(k, len(centroids)), dim=1)
            found.append(at)
            best.append(values)
        return self.get(torch.cat(found)), self.get(torch.cat(best))

    def sums(self, points: Any, owner: Indexes, n: int) -> Floats64:
        torch = self._torch
        result = torch.zeros((n, points.shape[1]), dtype=torch.float32, device=self._device)
        at = self.put(owner)
        for part in blocks(len(points), self.max_products // points.shape[1]):
            result.index_add_(0, at[part], points[part].float())
        return self.get(result).astype(np.float64)

    def query(self, tokens: Floats32) -> Any:
        transposed = self.put(tokens).T.contiguous()
        return self._split(transposed) if self.splits else transposed

    def maxima(
        self, rows: Any, query: Any, starts: Indexes, factors: Any = None, addends: Any = None
    ) -> Any:
        torch = self._torch
        if isinstance(query, tuple) and rows.dtype == torch.float32:
            halves, factor = query
            n = halves.shape[1] // 2
            query = (halves[:, :n].float() + halves[:, n:].float()) / factor
        keys = self._products(rows, query)
        if factors is not None:
            keys = keys * factors[:, None]
        if addends is not None:
            keys = keys + addends[:, None]
        offsets = self.put(np.r_[starts, len(rows)])
        return torch.segment_reduce(keys, "max", offsets=offsets, axis=0, unsafe=True)

    def fold(self, maxima: Any, weights: Floats32, squares: Floats32 | None) -> Any:
        terms = maxima.reshape(-1, *weights.shape)
        if squares is not None:
            terms = -(self.put(squares) - 2 * terms).clamp(min=0).sqrt()
        return (terms * self.put(weights)).sum(2)

    def join(self, parts: list[Any]) -> Any:
        return self._torch.cat(parts)

    def best(self, scores: Any, k: int) -> tuple[Indexes, Indexes, Floats32]:
        torch = self._torch
        by_query = scores.T.contiguous()
        least = torch.topk(by_query, min(k, by_query.shape[1]), dim=1).values[:, -1:]
        query, document = torch.nonzero(by_query >= least, as_tuple=True)
        return self.get(query), self.get(document), self.get(by_query[query, document])
