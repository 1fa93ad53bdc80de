"""Simulate a cluster: shards with copies on nodes, each a queue of cores, under searches that arrive at random.

A search goes to one copy of every shard and ends when the last one answered. The first tenth of the searches, which find empty queues, is
left out.
"""
import heapq
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]


class Cluster(NamedTuple):
    """The shape of a cluster, and the time that a search takes a core."""
    shards: int
    copies: int
    nodes: int
    cores: int
    rate: float                     # searches per second
    service: Times                  # milliseconds per shard of some searches
    coordinator: float = .1         # CPU milliseconds per shard that the coordinator needs
    hiccup: float = .001            # share of the answers that are late
    hiccup_ms: float = 50           # by this much
    hedge_after: float = math.inf   # milliseconds after which a second copy is asked; its work is not added to the load

    @property
    def load(self) -> float:
        """Return the share of the cores that is busy."""
        return self.rate / 1000 * self.shards / self.nodes * (float(self.service.mean()) + self.coordinator) / self.cores


class Answer(NamedTuple):
    """Milliseconds of searches."""
    mean: float
    p99: float


def queue(arrivals: Times, service: Times, cores: int) -> Times:
    """Return the milliseconds that each request waits and works, first come first served by any free core."""
    free = [0.0] * cores
    took = np.empty(len(arrivals))
    for i, (at, work) in enumerate(zip(arrivals.tolist(), service.tolist(), strict=True)):
        end = max(at, heapq.heappop(free)) + work
        heapq.heappush(free, end)
        took[i] = end - at
    return took


def with_hiccups(took: Times, cluster: Cluster, random: np.random.Generator) -> Times:
    """Return the times with some answers late, and the first of two answers where a second copy is asked."""
    def late(times: Times) -> Times:
        return times + np.where(random.random(len(times)) < cluster.hiccup, cluster.hiccup_ms, 0)

    first = late(took)
    if cluster.copies < 2 or math.isinf(cluster.hedge_after):
        return first
    second = cluster.hedge_after + late(random.permutation(took))
    return np.where(first > cluster.hedge_after, np.minimum(first, second), first)


def simulate(cluster: Cluster, searches: int, seed: int = 1) -> Answer:
    """Simulate searches, each of which asks a random copy of each shard. The copies of a shard are on neighbouring nodes."""
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(1000 / cluster.rate, searches))
    shard = np.tile(np.arange(cluster.shards), searches)
    owner = np.repeat(np.arange(searches), cluster.shards)
    node = (shard * cluster.copies + random.integers(cluster.copies, size=len(shard))) % cluster.nodes
    by_node = np.argsort(node, kind='stable')
    took = np.empty(len(shard))
    for here in np.split(by_node, np.searchsorted(node[by_node], np.arange(1, cluster.nodes))):
        took[here] = queue(arrivals[owner[here]], random.choice(cluster.service, len(here)) + cluster.coordinator, cluster.cores)
    slowest = with_hiccups(took, cluster, random).reshape(searches, cluster.shards).max(axis=1)[searches // 10:]
    return Answer(float(slowest.mean()), float(np.percentile(slowest, 99)))


def smallest(cluster: Cluster, load: float) -> Cluster:
    """Return the cluster with the fewest nodes at which at most this share of the cores is busy."""
    nodes = math.ceil(cluster._replace(nodes=1).load / load)
    return cluster._replace(nodes=max(nodes, cluster.copies))
