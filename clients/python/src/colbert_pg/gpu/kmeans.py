"""Two-level k-means on one device or several, as the index trains (src/kmeans of the extension).

Parents are trained over a part of the sample, children within each parent, and two rounds of
assigning every point among the children of its best parents move both across the borders. Children
are allotted in proportion to the distinct points of each parent. A centroid without points moves to
the farthest point of the worst cluster.

The points are divided among the devices. Each sums those of its own, and the sums are added in
double precision on the host, so that the number of devices changes centroids by rounding alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .devices import (
    Device,
    Floats32,
    Floats64,
    Indexes,
    Numbers,
    blocks,
    by_owner,
    squared_lengths,
)

ITERATIONS = 5
TOKENS_PER_LIST = 32
_PARENT_POINTS = 256
_MIN_FOR_TWO_LEVELS = 64
_REFINE_ROUNDS = 2
_REFINE_PARENTS = 4
_FAR_PARENT = 1.4
_LAST_RESEEDINGS = 8
_NOISE = 1e-6  # squared distances below this share of |x|^2 are rounding errors
_CHILDREN_DONE = 0.6  # share of the training before the refinement


@dataclass(frozen=True)
class Centroids:
    """Two levels of centroids: children grouped by parent."""

    parents: Floats32
    centroids: Floats32
    parent_of: Indexes
    """The parent of each centroid, ascending."""


@dataclass(frozen=True)
class _Part:
    """Points on a device, as float16 or float32."""

    device: Device
    rows: Any
    count: int


@dataclass(frozen=True)
class _Assigned:
    """Points of all parts with their nearest centroids."""

    owner: Indexes
    keys: Floats32
    counts: Indexes
    """The number of points of each centroid."""


@dataclass(frozen=True)
class _Group:
    """Points that are clustered together, on the host."""

    sample: Numbers
    places: Indexes
    squares: Floats32
    """|x|^2 of each point."""

    def rows(self, chosen: Indexes) -> Floats32:
        return self.sample[self.places[chosen]].astype(np.float32)

    def reseed(
        self, centroids: Floats32, empty: Indexes, chosen: Indexes | None, found: _Assigned
    ) -> bool:
        """Move empty centroids to the farthest points of the worst clusters.

        chosen: the points that were assigned; None: all. Returns False if all of them are at their
        centroids.
        """
        squares = self.squares if chosen is None else self.squares[chosen]
        distance = squares - 2 * found.keys
        distance[distance < _NOISE * squares] = 0
        distortion = np.bincount(found.owner, distance, len(centroids))
        worst = np.argsort(-distortion, kind="stable")[: len(empty)]
        worst = worst[distortion[worst] > 0]
        order, starts = by_owner(found.owner, len(centroids))
        members = [order[starts[c] : starts[c + 1]] for c in worst]
        farthest = np.array([some[distance[some].argmax()] for some in members], np.int64)
        centroids[empty[: len(worst)]] = self.rows(farthest if chosen is None else chosen[farthest])
        return len(worst) > 0


def train(
    sample: Numbers,
    lists: int,
    devices: Sequence[Device],
    *,
    iterations: int = ITERATIONS,
    batch: int | None = None,
    seed: int = 0,
    progress: Callable[[float], None] = lambda _done: None,
) -> Centroids:
    """Train at most lists centroids on a sample of shape (tokens, dims).

    batch: points per centroid of a random batch for each iteration, with running means; None: all
    points in each. progress is called with the share that is done.
    """
    if lists < 1 or len(sample) == 0:
        raise ValueError(f"expected lists and tokens, not {lists} lists of {len(sample)} tokens")
    training = _Training(sample, devices, iterations, batch, np.random.default_rng(seed))
    return training.run(min(lists, len(sample)), progress)


class _Training:
    def __init__(
        self,
        sample: Numbers,
        devices: Sequence[Device],
        iterations: int,
        batch: int | None,
        rng: np.random.Generator,
    ) -> None:
        self.sample, self.squares, self.rng = sample, _squares(sample), rng
        self.iterations, self.batch = iterations, batch
        cuts = np.linspace(0, len(sample), len(devices) + 1).astype(np.int64)
        self.starts = cuts[:-1]
        self.parts = [
            _Part(device, device.put(sample[a:b]), int(b - a))
            for device, a, b in zip(devices, cuts[:-1], cuts[1:], strict=True)
        ]

    def run(self, lists: int, progress: Callable[[float], None]) -> Centroids:
        parents, owner = self._train_parents(lists)
        order, starts = by_owner(owner, len(parents))
        groups = np.split(order, starts[1:-1])
        wanted = _allot(_count_distinct(self.sample, groups), lists)
        children = []
        for done, (group, n) in enumerate(zip(groups, wanted, strict=True)):
            progress(_CHILDREN_DONE * done / len(groups))
            children.append(self._lloyd(group, int(n)))
        parent_of = np.repeat(np.arange(len(parents)), [len(found) for found in children])
        centroids = np.concatenate(children)
        if len(parents) > 1:
            for turn in range(_REFINE_ROUNDS):
                share = (1 - _CHILDREN_DONE) / _REFINE_ROUNDS
                progress(_CHILDREN_DONE + share * turn)
                parents, centroids = self._refine(parents, centroids, parent_of)
        progress(1.0)
        return _without_copies(parents, centroids, parent_of)

    # The upper level.

    def _train_parents(self, lists: int) -> tuple[Floats32, Indexes]:
        """Return the parents, and the parent of each point. Each parent has points."""
        nparents = 1 if lists < _MIN_FOR_TWO_LEVELS else round(math.sqrt(lists))
        chosen = _spread(len(self.sample), nparents * _PARENT_POINTS, self.rng)
        parents = self._lloyd(chosen, nparents)
        owner = np.concatenate([part.device.nearest(part.rows, parents)[0] for part in self.parts])
        used, owner = np.unique(owner, return_inverse=True)
        return parents[used], owner.astype(np.int64).ravel()

    # One level.

    def _take(self, places: Indexes) -> list[_Part]:
        """Return points as float32, on the devices that have them. places are ascending."""
        taken = []
        for part, start in zip(self.parts, self.starts, strict=True):
            mine = places[(places >= start) & (places < start + part.count)] - start
            if len(mine):
                taken.append(_Part(part.device, part.device.floats(part.rows, mine), len(mine)))
        return taken

    def _lloyd(self, places: Indexes, n: int) -> Floats32:
        """Return at most n centroids of the points at places."""
        group = _Group(self.sample, places, self.squares[places])
        whole = self._take(places)
        centroids = group.rows(_spread(len(places), n, self.rng))
        seen = np.zeros(len(centroids))  # points of earlier batches
        for _ in range(self.iterations):
            chosen, parts = None, whole
            if self.batch is not None:
                chosen = _spread(len(places), self.batch * n, self.rng)
                parts = self._take(places[chosen])
            found = _assign(parts, centroids)
            counts = seen + found.counts
            centroids = _moved(parts, centroids, found, counts)
            empty = np.flatnonzero(counts == 0)
            if len(empty) and not group.reseed(centroids, empty, chosen, found):
                break
            if self.batch is not None:
                seen = counts
        return _without_empty(group, whole, centroids)

    # Both levels.

    def _refine(
        self, parents: Floats32, centroids: Floats32, parent_of: Indexes
    ) -> tuple[Floats32, Floats32]:
        """Assign all points among the children of their best parents, and move all centroids."""
        n = len(centroids)
        sums, counts = np.zeros((n, centroids.shape[1])), np.zeros(n, np.int64)
        starts = np.searchsorted(parent_of, np.arange(len(parents) + 1))
        for part, start in zip(self.parts, self.starts, strict=True):
            squares = self.squares[start : start + part.count]
            owner = _assign_by_parents(part, squares, parents, centroids, starts)
            sums += part.device.sums(part.rows, owner, n)
            counts += np.bincount(owner, minlength=n)
        moved = centroids.copy()
        used = counts > 0
        moved[used] = (sums[used] / counts[used, np.newaxis]).astype(np.float32)
        family = np.bincount(parent_of, counts, len(parents))
        # every parent has children
        weighted = np.add.reduceat(moved.astype(np.float64) * counts[:, np.newaxis], starts[:-1])
        return (
            np.where(
                family[:, np.newaxis] > 0,
                weighted / np.maximum(family, 1)[:, np.newaxis],
                parents,
            ).astype(np.float32),
            moved,
        )


def _spread(n: int, wanted: int, rng: np.random.Generator) -> Indexes:
    """Return a random place of each of wanted equal parts of 0 .. n - 1, ascending."""
    wanted = min(n, wanted)
    cuts = np.arange(wanted + 1, dtype=np.int64) * n // wanted
    return rng.integers(cuts[:-1], cuts[1:])


def _assign(parts: list[_Part], centroids: Floats32) -> _Assigned:
    """Assign points to their nearest centroids."""
    found = [part.device.nearest(part.rows, centroids) for part in parts]
    owner = np.concatenate([owner for owner, _ in found])
    keys = np.concatenate([keys for _, keys in found])
    return _Assigned(owner, keys, np.bincount(owner, minlength=len(centroids)))


def _moved(parts: list[_Part], centroids: Floats32, found: _Assigned, seen: Floats64) -> Floats32:
    """Move centroids to the means of their points, those of earlier batches included."""
    sums = np.zeros(centroids.shape)
    start = 0
    for part in parts:
        owner = found.owner[start : start + part.count]
        sums += part.device.sums(part.rows, owner, len(centroids))
        start += part.count
    counts = found.counts[:, np.newaxis]
    step = (sums - counts * centroids) / np.maximum(seen, 1)[:, np.newaxis]
    return (centroids + step).astype(np.float32)


def _without_empty(group: _Group, whole: list[_Part], centroids: Floats32) -> Floats32:
    """Move centroids that have no points, and drop those that stay without any."""
    found = _assign(whole, centroids)
    for _ in range(_LAST_RESEEDINGS):
        empty = np.flatnonzero(found.counts == 0)
        if len(empty) == 0 or not group.reseed(centroids, empty, None, found):
            break
        found = _assign(whole, centroids)
    return centroids[found.counts > 0]


def _assign_by_parents(
    part: _Part, squares: Floats32, parents: Floats32, centroids: Floats32, starts: Indexes
) -> Indexes:
    """Return the nearest centroid of each point among the children of its best parents."""
    device = part.device
    best, keys = device.nearest_few(part.rows, parents, _REFINE_PARENTS)
    distances = squares[:, np.newaxis] - 2 * keys
    near = distances <= _FAR_PARENT * np.maximum(distances[:, :1], 0)
    near[:, 0] = True
    points, columns = np.nonzero(near)
    order, ends = by_owner(best[points, columns], len(parents))
    owner = np.zeros(part.count, np.int64)
    largest = np.full(part.count, -np.inf, np.float32)
    for parent, group in enumerate(np.split(points[order], ends[1:-1])):
        children = centroids[starts[parent] : starts[parent + 1]]
        if len(group) == 0 or len(children) == 0:
            continue
        found, key = device.nearest(device.floats(part.rows, group), children)
        nearer = key > largest[group]
        largest[group[nearer]] = key[nearer]
        owner[group[nearer]] = starts[parent] + found[nearer]
    return owner


def _squares(sample: Numbers) -> Floats32:
    found = np.empty(len(sample), np.float32)
    for block in blocks(len(sample), 1 << 16):
        found[block] = squared_lengths(sample[block].astype(np.float32))
    return found


def _count_distinct(sample: Numbers, groups: list[Indexes]) -> Indexes:
    """Return the number of distinct points of each group, by a hash of their bytes."""
    dims = int(sample.shape[1])
    multipliers = np.random.default_rng(1).integers(1, 2**63, dims).astype(np.uint64)
    hashes = np.empty(len(sample), np.uint64)
    width = math.gcd(4, sample.dtype.itemsize * dims)
    for block in blocks(len(sample), 1 << 16):
        words = np.ascontiguousarray(sample[block]).view(f"u{width}").astype(np.uint64)
        words *= multipliers[: words.shape[1]] | np.uint64(1)
        hashes[block] = words.sum(axis=1, dtype=np.uint64)
    return np.array([len(np.unique(hashes[group])) for group in groups], np.int64)


def _allot(ndistinct: Indexes, wanted: int) -> Indexes:
    """Allot one child to each parent, and the rest by distinct points and largest remainders."""
    beyond = ndistinct - 1
    spare = min(wanted - len(ndistinct), int(beyond.sum()))
    if spare <= 0:
        return np.ones(len(ndistinct), np.int64)
    shares, remainders = np.divmod(beyond * spare, beyond.sum())
    left = spare - int(shares.sum())
    shares[np.argsort(-remainders, kind="stable")[:left]] += 1
    return np.asarray(shares + 1, np.int64)


def _without_copies(parents: Floats32, centroids: Floats32, parent_of: Indexes) -> Centroids:
    """Drop equal centroids, of which all but one would get no tokens, and parents without any."""
    keep = np.sort(np.unique(centroids + np.float32(0), axis=0, return_index=True)[1])
    parents, same = np.unique(parents + np.float32(0), axis=0, return_inverse=True)
    used, owner = np.unique(same.ravel()[parent_of[keep]], return_inverse=True)
    order = np.argsort(owner.ravel(), kind="stable")
    return Centroids(
        parents[used], centroids[keep][order] + np.float32(0), owner.ravel()[order].astype(np.int64)
    )
