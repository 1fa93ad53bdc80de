"""Maximal marginal relevance, which integrations use: by its definition, in pure Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from colbert_pg import MultiVector
from colbert_pg.integrations._mmr import diversify


def mean_cosine(first: MultiVector, second: MultiVector) -> float:
    def cosine(a: list[float], b: list[float]) -> float:
        return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))

    rows = second.to_list()
    return float(np.mean([max(cosine(row, other) for other in rows) for row in first.to_list()]))


def similarity(first: MultiVector, second: MultiVector) -> float:
    return (mean_cosine(first, second) + mean_cosine(second, first)) / 2


def expected(
    query: MultiVector, docs: list[MultiVector], limit: int, relevance: float
) -> list[int]:
    chosen: list[int] = []
    while len(chosen) < min(limit, len(docs)):
        values = {
            place: relevance * mean_cosine(query, doc)
            - (1 - relevance) * max((similarity(doc, docs[other]) for other in chosen), default=0)
            for place, doc in enumerate(docs)
            if place not in chosen
        }
        chosen.append(max(values, key=lambda place: values[place]))
    return chosen


@given(
    st.integers(0, 2**32), st.integers(0, 6), st.integers(0, 7), st.sampled_from([0, 0.3, 0.5, 1])
)
def test_it_is_as_defined(seed: int, count: int, limit: int, relevance: float) -> None:
    random = np.random.default_rng(seed)
    query, *docs = (
        MultiVector(random.normal(size=(random.integers(1, 4), 3))) for _ in range(count + 1)
    )
    assert diversify(query, docs, limit, relevance) == expected(query, docs, limit, relevance)


def test_a_token_may_be_zero() -> None:
    query, doc = MultiVector([[0.0, 0.0]]), MultiVector([[0.0, 0.0], [1.0, 0.0]])
    assert diversify(query, [doc, doc], 2, 0.5) == [0, 1]
