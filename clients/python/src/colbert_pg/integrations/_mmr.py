"""Maximal marginal relevance of multivectors: results that are relevant, and unlike each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..multivector import MultiVector

Floats = npt.NDArray[np.float32]


def diversify(
    query: MultiVector, docs: Sequence[MultiVector], limit: int, relevance: float
) -> list[int]:
    """Return the places of up to limit documents, in the order in which they are chosen.

    The next one has the largest relevance * (similarity to the query) - (1 - relevance) *
    (similarity to the most similar one that is chosen).
    The similarity is the mean of the cosines that MaxSim adds; between documents, of both ways.
    """
    unit = [_unit(doc) for doc in docs]
    wanted = np.array([_mean_cosine(_unit(query), doc) for doc in unit], np.float32)
    nearest = np.full(len(docs), -np.inf, np.float32)  # to one that is chosen
    chosen: list[int] = []
    left = list(range(len(docs)))
    while left and len(chosen) < limit:
        penalty = (1 - relevance) * nearest[left] if chosen else 0
        best = left.pop(int(np.argmax(relevance * wanted[left] - penalty)))
        chosen.append(best)
        for other in left:
            nearest[other] = max(nearest[other], _similarity(unit[best], unit[other]))
    return chosen


def _unit(vectors: MultiVector) -> Floats:
    array = vectors.to_numpy().astype(np.float32)
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    return np.asarray(array / np.where(norms > 0, norms, 1), np.float32)


def _mean_cosine(query: Floats, doc: Floats) -> float:
    return float((query @ doc.T).max(axis=1).mean())


def _similarity(first: Floats, second: Floats) -> float:
    cosines = first @ second.T
    return float(cosines.max(axis=1).mean() + cosines.max(axis=0).mean()) / 2
