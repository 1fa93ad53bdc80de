"""The kinds of queries of bench/lengths and their exact answers.

The similarities of a token to the documents are computed once. All kinds of queries that contain the token use them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import collections_of_texts as texts
import numpy as np

JOINED = (16, 32)  # lengths of queries that join several questions
TOPIC_TOKENS = 5  # of a topic that is not a question
WANTED = 10  # answers of a query

Array = np.ndarray[Any, Any]
Filters = dict[float, Array]  # share of the documents that pass: whether each document passes


class Scored(NamedTuple):
    """Tokens, and the best similarity of each document to each of them (documents x tokens)."""

    tokens: Array
    similarities: Array

    def first(self, n: int) -> 'Scored':
        return Scored(self.tokens[:n], self.similarities[:, :n])


class Query(NamedTuple):
    """A query, and the exact score of its tenth answer per share of the documents that pass a filter."""

    tokens: Array
    tenth: dict[float, float]


def evenly(items: Sequence[int], n: int) -> list[int]:
    """Return n items, or all if there are fewer, evenly spaced."""
    n = min(n, len(items))
    return [items[i * len(items) // n] for i in range(n)]


def choose(questions: int, n: int, held_out: Sequence[int]) -> list[int]:
    """Return n evenly spaced questions, of those that no call for a number in held_out without held_out returns."""
    used = {i for other in held_out for i in evenly(range(questions), other)}
    return evenly([i for i in range(questions) if i not in used], n)


def make_filters(documents: int, shares: Sequence[float]) -> tuple[Array, Filters]:
    """Return a random number per document, and the filters that compare it with each share."""
    numbers = np.random.RandomState(texts.SEED).random_sample(documents)
    filters = {share: numbers < share for share in shares}
    for share, passes in filters.items():
        if passes.sum() < WANTED:
            raise SystemExit(f'a filter of {share:g} leaves {passes.sum()} of {documents:,} documents, expected at least {WANTED}')
    return numbers, filters


def score(passages: texts.Tokens, queries: list[Array]) -> list[Scored]:
    if not any(map(len, queries)):
        return [Scored(query, np.zeros((len(passages), 0), np.float32)) for query in queries]
    return [Scored(*pair) for pair in zip(queries, texts.best_similarities(passages, queries), strict=True)]


def join(parts: list[Scored], length: int) -> Scored:
    """Return the first tokens of all parts together, up to a length."""
    return Scored(np.concatenate([part.tokens for part in parts]), np.concatenate([part.similarities for part in parts], axis=1)).first(length)


def best_passage(passages: texts.Tokens, question: Scored, random: np.random.RandomState) -> int:
    """Return the best passage of a question, or a random passage if the question has no tokens."""
    if len(question.tokens) == 0:
        return int(random.randint(len(passages)))
    return int(question.similarities.sum(axis=1).argmax())


def fill_up(passages: texts.Tokens, questions: dict[int, Scored], length: int) -> list[Scored]:
    """Fill questions up to a length with noisy tokens of their best passages. The noise is that of a question's number."""
    noise = []
    for i, question in questions.items():
        random = np.random.RandomState(texts.SEED + i)
        filled = texts.fill_up(question.tokens, passages[best_passage(passages, question, random)], random)
        noise.append(filled[len(question.tokens) : length])
    return [join([question, more], length) for question, more in zip(questions.values(), score(passages, noise), strict=True)]


def join_topics(topics: list[Scored], first: int, length: int) -> Scored:
    """Join different topics, from this one on, up to a length."""
    parts: list[Scored] = []
    while sum(len(part.tokens) for part in parts) < length:
        parts.append(topics[(first + len(parts)) % len(topics)])
    return join(parts, length)


def answer(query: Scored, filters: Filters) -> Query:
    scores = query.similarities.sum(axis=1, dtype=np.float64)
    return Query(query.tokens, {share: float(np.partition(scores[passes], -WANTED)[-WANTED]) for share, passes in filters.items()})


def make_queries(collection: texts.Collection, chosen: list[int], filters: Filters, lengths: Sequence[int], joined: Sequence[int]) -> dict[str, list[Query]]:
    """Return {name of a kind: queries}, made of the chosen questions.

    The kinds: a number of tokens with one topic, "whole" for the questions as they are, and "joined N" for questions that follow each other,
    as the turns of a chat do, up to N tokens.
    """
    passages = collection.passages
    questions = score(passages, [collection.questions[i].astype(np.float32) for i in chosen])
    filled = fill_up(passages, dict(zip(chosen, questions, strict=True)), max([*lengths, TOPIC_TOKENS]))
    topics = [question if len(question.tokens) else tokens.first(TOPIC_TOKENS) for question, tokens in zip(questions, filled, strict=True)]
    kinds = {str(length): [answer(query.first(length), filters) for query in filled] for length in lengths}
    if all(len(question.tokens) for question in questions):
        kinds['whole'] = [answer(question, filters) for question in questions]
    for length in joined:
        kinds[f'joined {length}'] = [answer(join_topics(topics, i, length), filters) for i in range(len(topics))]
    return kinds
