"""Folds of questions for cross-validation."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt


def split(
    queries: Sequence[str], folds: int, seed: int, topics: Mapping[str, Hashable] | None = None
) -> list[npt.NDArray[np.intp]]:
    """Return the positions of the queries in random folds of about equal size.

    topics: the topic of each query. Queries of one topic are in one fold; a query without a topic
    is one of its own.
    """
    groups = list(groups_of(queries, topics or {}))
    if not 2 <= folds <= len(groups):
        raise ValueError(
            f"expected 2 folds or more, and a judged query for each, not {folds} folds "
            f"of {len(queries)} queries{f' of {len(groups)} topics' if topics else ''}"
        )
    parts: list[list[int]] = [[] for _ in range(folds)]
    for group in np.random.default_rng(seed).permutation(len(groups)):
        min(parts, key=len).extend(groups[group])
    return [np.array(part) for part in parts]


def groups_of(queries: Iterable[str], topics: Mapping[str, Hashable]) -> Collection[list[int]]:
    """Return the positions of the queries of each topic."""
    found: dict[tuple[bool, Hashable], list[int]] = {}
    for position, query in enumerate(queries):
        known = query in topics
        found.setdefault((known, topics[query] if known else query), []).append(position)
    return found.values()
