"""The queries of bench/lengths and their exact answers, beside plain loops."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "bench" / "lengths"))
texts = importlib.import_module("collections_of_texts")
query_kinds = importlib.import_module("query_kinds")

DOCUMENTS, QUESTIONS, DIMS = 100, 30, 16
SHARES = [1.0, 0.3]
WANTED = 10


def make_tokens(random: np.random.RandomState, counts: Any) -> Any:
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return texts.Tokens(texts.unit(random.normal(size=(offsets[-1], DIMS))), offsets)


def make_collection() -> Any:
    """Documents of 1 to 5 tokens, and questions of 2 to 39: some are longer than filled ones."""
    random = np.random.RandomState(1)
    passages = make_tokens(random, random.randint(1, 6, DOCUMENTS))
    return texts.Collection("", passages, make_tokens(random, random.randint(2, 40, QUESTIONS)))


def maxsim(document: Any, query: Any) -> float:
    return float(sum(max(token @ other for other in document) for token in query))


def test_exact_answers() -> None:
    collection = make_collection()
    numbers, filters = query_kinds.make_filters(DOCUMENTS, SHARES)
    made = query_kinds.make_queries(collection, [0, 7, 20], filters, (1, 16), (16, 32))
    assert list(made) == ["1", "16", "whole", "joined 16", "joined 32"]
    for queries in made.values():
        assert len(queries) == 3
        for query in queries:
            scores = [maxsim(collection.passages[i], query.tokens) for i in range(DOCUMENTS)]
            for share in SHARES:
                passed = [
                    score for score, number in zip(scores, numbers, strict=True) if number < share
                ]
                assert query.tenth[share] == pytest.approx(sorted(passed)[-WANTED], abs=1e-4)


def test_tokens() -> None:
    collection = make_collection()
    chosen = [3, 4, 5]
    filters = query_kinds.make_filters(DOCUMENTS, [1.0])[1]
    made = query_kinds.make_queries(collection, chosen, filters, (1, 16), (32,))
    whole = [collection.questions[i] for i in chosen]
    for question, query in zip(whole, made["whole"], strict=True):
        assert np.allclose(question, query.tokens)
    for question, query in zip(whole, made["16"], strict=True):
        own = min(len(question), 16)
        assert len(query.tokens) == 16
        assert np.allclose(question[:own], query.tokens[:own])
    for i, query in enumerate(made["joined 32"]):
        turns = np.concatenate([*whole[i:], *whole[:i]] * 16)
        assert np.allclose(turns[:32], query.tokens)


def test_questions_without_tokens() -> None:
    """Random vectors have none: each query consists of tokens near those of a document."""
    collection = make_collection()
    collection.questions = texts.Tokens(np.zeros((0, DIMS), np.float32), np.zeros(QUESTIONS + 1))
    filters = query_kinds.make_filters(DOCUMENTS, [1.0])[1]
    made = query_kinds.make_queries(collection, [0, 1], filters, (3,), (16,))
    assert {kind: [len(query.tokens) for query in queries] for kind, queries in made.items()} == {
        "3": [3, 3],
        "joined 16": [16, 16],
    }


def test_held_out_questions() -> None:
    assert query_kinds.choose(100, 4, ()) == [0, 25, 50, 75]
    held_out = query_kinds.choose(100, 40, (4, 50))
    assert len(held_out) == 40
    assert not set(held_out) & {25, *range(0, 100, 2)}
    assert len(query_kinds.choose(100, 120, (50,))) == 50
    assert query_kinds.choose(100, 4, (100,)) == []


def test_filters_of_few_documents() -> None:
    numbers, filters = query_kinds.make_filters(1000, [1.0, 0.3])
    assert filters[1.0].all()
    assert list(filters[0.3]) == [number < 0.3 for number in numbers]
    with pytest.raises(SystemExit, match=r"a filter of 0\.001 leaves . of 1,000 documents"):
        query_kinds.make_filters(1000, [0.001])
