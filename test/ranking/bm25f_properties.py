#!/usr/bin/python3
"""Compare bm25f and what belongs to it with a plain reference in Python, on documents and queries that hypothesis draws. TAP output.

Runs on the server of PGHOST, in a database of its own. COLBERT_EXTRA draws more.
"""
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from tap import report_properties

EXAMPLES = 2000 if os.environ.get('COLBERT_EXTRA') else 30
SECTIONS = 'DCBA'               # in the order of weights
TOLERANCE = 1e-11               # relative: sums of other orders
QUICK = settings(max_examples=EXAMPLES, deadline=None, database=None)
CONN: psycopg.Connection

Document = Mapping[str, Sequence[tuple[int, str]]]      # {lexeme: positions and their sections}; without positions: none
Query = tuple                   # ('word', lexeme, sections), ('!', query) or (an operator, query, query)


# ---- the reference ----

@dataclass
class Settings:
    """Arguments of bm25_query."""
    weights: tuple[float, ...] = (1, 2, 3, 5)
    b: float = .75
    k1: float = 1.2
    budget: int = 1000


def frequencies(document: Document, word: str, sections: str = SECTIONS) -> dict[str, int]:
    """Return the occurrences of a word per section. A lexeme without positions is one in D."""
    found = [section for _, section in document.get(word, ())] or ['D'] * (word in document)
    return {section: found.count(section) for section in sections}


def lengths(document: Document) -> dict[str, int]:
    return {s: sum(frequencies(document, word)[s] for word in document) for s in SECTIONS}


@dataclass
class Reference:
    """BM25F of a collection."""
    documents: Sequence[Document]
    settings: Settings
    lengths: dict[int, dict[str, int]] = field(init=False)
    means: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.lengths = {id(document): lengths(document) for document in self.documents}
        self.means = {s: sum(self.lengths[id(document)][s] for document in self.documents) / len(self.documents) for s in SECTIONS}

    def count(self, word: str) -> int:
        return sum(word in document for document in self.documents)

    def idf(self, word: str) -> float:
        return math.log(1 + (len(self.documents) - self.count(word) + .5) / (self.count(word) + .5))

    def parts(self, document: Document, word: str, sections: str) -> dict[str, float]:
        """Return the weighted, normalised frequency of a word per section that has it."""
        normal = {s: 1 - self.settings.b + self.settings.b * self.lengths[id(document)][s] / self.means[s] if self.means[s] else 1 for s in SECTIONS}
        return {s: self.settings.weights[SECTIONS.index(s)] * n / normal[s] for s, n in frequencies(document, word, sections).items() if n}

    def share(self, document: Document, word: str, sections: str = SECTIONS) -> float:
        x = sum(self.parts(document, word, sections).values())
        return x / (self.settings.k1 + x) if x > 0 else 0

    def score(self, document: Document, words: Mapping[str, str]) -> float:
        return sum(self.idf(word) * self.share(document, word, sections) for word, sections in words.items())

    def terms(self, document: Document, words: Mapping[str, str]) -> dict[tuple[str, str], tuple[int, float]]:
        """Return {(word, section): (frequency, contribution)}."""
        found = {}
        for word, sections in words.items():
            parts = self.parts(document, word, sections)
            x = sum(parts.values())
            for s, part in parts.items():
                found[word, s] = frequencies(document, word)[s], self.idf(word) * part / (self.settings.k1 + x) if x > 0 else 0
        return found

    def candidates(self, words: Mapping[str, str]) -> set[str]:
        """Return the rarest words, as long as their documents sum up to at most the budget, and at least the rarest that any has."""
        found, total = set(), 0
        for word in sorted(words, key=lambda word: (self.count(word), word.encode())):
            if total > 0 and total + self.count(word) > self.settings.budget:
                break
            total += self.count(word)
            found.add(word)
        return found


def words_of(query: Query | None, negated: bool = False) -> dict[str, str]:
    """Return the words of a query that are not negated, each with the sections that it counts in."""
    if query is None:
        return {}
    kind, *operands = query
    if kind == 'word':
        word, sections = operands
        return {} if negated else {word: ''.join(s for s in SECTIONS if s in (sections or SECTIONS))}
    found: dict[str, str] = {}
    for operand in operands:
        for word, sections in words_of(operand, negated != (kind == '!')).items():
            found[word] = ''.join(s for s in SECTIONS if s in found.get(word, '') + sections)
    return found


# ---- drawn values ----

# Few words, so that queries find them
WORDS = ('a', 'ab', 'ünïcödé', "it's a back\\slash", 'x' * 300)
KNOWN, UNKNOWN = st.sampled_from(WORDS), st.sampled_from((*WORDS, 'unknown'))
POSITIONS = st.lists(st.tuples(st.integers(1, 16383), st.sampled_from(SECTIONS)), min_size=1, max_size=12, unique_by=lambda p: p[0])
MANY_POSITIONS = st.builds(lambda n, s: [(i, s) for i in range(1, n + 1)], st.integers(200, 255), st.sampled_from(SECTIONS))


def collections(positions: st.SearchStrategy) -> st.SearchStrategy[list[Document]]:
    """Most documents have words, so that queries find them; some have one or none, and some collections are of one document."""
    documents = st.dictionaries(KNOWN, positions, min_size=2) | st.dictionaries(KNOWN, positions, max_size=1)
    return st.lists(documents, min_size=5, max_size=12) | st.lists(documents, min_size=1, max_size=1)


COLLECTIONS, WITHOUT_POSITIONS = collections(POSITIONS | MANY_POSITIONS), collections(POSITIONS | st.just([]))
LABELLED = st.tuples(st.just('word'), UNKNOWN, st.sampled_from(('', '', 'A', 'B', 'CD', 'ABC', 'ABCD')))
PLAIN = st.tuples(st.just('word'), UNKNOWN, st.just(''))


def queries(words: st.SearchStrategy[Query]) -> st.SearchStrategy[Query]:
    return st.recursive(words, lambda inner: st.tuples(st.just('!'), inner) | st.tuples(st.sampled_from(('&', '|', '<->', '<3>')), inner, inner), max_leaves=8)


LABELLED_QUERIES, PLAIN_QUERIES = (st.lists(st.none() | queries(words), min_size=3, max_size=6) for words in (LABELLED, PLAIN))
ARGUMENTS = st.builds(Settings, st.tuples(*[st.sampled_from((0., .5, 1., 2., 3., 5.)) | st.floats(0, 1000, width=32)] * 4),
                      st.sampled_from((0., .3, .75, 1.)) | st.floats(0, 1), st.sampled_from((0., .5, 1.2, 2., 10.)) | st.floats(0, 100), st.integers(1, 4) | st.just(1000))


def quoted(word: str) -> str:
    return "'" + word.replace('\\', '\\\\').replace("'", "''") + "'"


def vector_text(document: Document) -> str:
    positions = {word: ','.join(f'{position}{section}' for position, section in places) for word, places in document.items()}
    return ' '.join(quoted(word) + (f':{places}' if places else '') for word, places in positions.items())


def query_text(query: Query | None) -> str:
    if query is None:
        return ''
    kind, *operands = query
    if kind == 'word':
        return quoted(operands[0]) + (f':{operands[1]}' if operands[1] else '')
    if kind == '!':
        return f'!({query_text(operands[0])})'
    return f'({query_text(operands[0])} {kind} {query_text(operands[1])})'


# ---- the server ----

def load(documents: Sequence[Document]) -> None:
    CONN.execute('TRUNCATE documents')
    CONN.execute('INSERT INTO documents SELECT n, t::tsvector FROM unnest(%s::text[]) WITH ORDINALITY AS u (t, n)', ([vector_text(d) for d in documents],))
    CONN.execute("SELECT bm25_analyze('documents', 'tsv', config => 'simple')")


def prepare(query: str, kind: str, arguments: Settings) -> str:
    """Return the text of a bm25_query. kind: tsquery or text."""
    return CONN.execute(f"SELECT bm25_query('documents_tsv_bm25', %s::{kind}, %s::real[], %s, %s, %s)::text",
                        (query, list(arguments.weights), arguments.b, arguments.k1, arguments.budget)).fetchone()[0]


def prepared_queries(documents: Sequence[Document], drawn: Sequence[Query | None], arguments: Settings) -> Iterator[tuple[Reference, Mapping[str, str], str]]:
    """Load documents. Return of each query the reference, the words, and the text of its bm25_query."""
    load(documents)
    reference = Reference(documents, arguments)
    for query in drawn:
        yield reference, words_of(query), prepare(query_text(query), 'tsquery', arguments)


def per_document(columns: str, prepared: str, more: str = '') -> list[tuple]:
    """Return columns of each document, the query q and more items of the FROM list."""
    return CONN.execute(f'SELECT {columns} FROM documents, CAST(%s AS bm25_query) AS q {more} ORDER BY id', (prepared,)).fetchall()


def is_close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


# ---- properties ----

@QUICK
@given(COLLECTIONS | WITHOUT_POSITIONS, LABELLED_QUERIES, ARGUMENTS)
def check_scores(documents: Sequence[Document], drawn: Sequence[Query | None], arguments: Settings) -> None:
    """bm25f is the formula: sections, labels, negation, phrases, repeated words, lexemes without positions; it is not above bm25_bound"""
    for reference, words, prepared in prepared_queries(documents, drawn, arguments):
        bound = sum(map(reference.idf, words)) or 1
        for document, (score, limit) in zip(documents, per_document('bm25f(tsv, q), bm25_bound(q)', prepared), strict=True):
            assert is_close(score, reference.score(document, words))
            assert is_close(limit, bound) and score <= limit


@QUICK
@given(COLLECTIONS, st.lists(st.sampled_from(('a', 'ab', 'unknown')), max_size=8), ARGUMENTS)
def check_texts(documents: Sequence[Document], words: list[str], arguments: Settings) -> None:
    """a text is the query of its distinct words"""
    load(documents)
    prepared = prepare(' '.join(words).upper(), 'text', arguments)
    assert prepared == prepare(' | '.join(words), 'tsquery', arguments)
    reference = Reference(documents, arguments)
    for document, (score,) in zip(documents, per_document('bm25f(tsv, q)', prepared), strict=True):
        assert is_close(score, reference.score(document, dict.fromkeys(words, SECTIONS)))


@QUICK
@given(COLLECTIONS, LABELLED_QUERIES, ARGUMENTS)
def check_terms(documents: Sequence[Document], drawn: Sequence[Query | None], arguments: Settings) -> None:
    """the contributions of bm25f_terms are those of the formula and add up to bm25f"""
    for reference, words, prepared in prepared_queries(documents, drawn, arguments):
        columns = "bm25f(tsv, q), coalesce((SELECT json_agg(ARRAY[term, section, frequency::text, contribution::text]) FROM bm25f_terms(tsv, q)), '[]')"
        for document, (score, rows) in zip(documents, per_document(columns, prepared), strict=True):
            expected = reference.terms(document, words)
            assert {(term, section): int(n) for term, section, n, _ in rows} == {key: n for key, (n, _) in expected.items()}
            assert all(is_close(float(part), expected[term, section][1]) for term, section, _, part in rows)
            assert is_close(sum(float(part) for *_, part in rows), score)


@QUICK
@given(COLLECTIONS, LABELLED_QUERIES, ARGUMENTS)
def check_candidates(documents: Sequence[Document], drawn: Sequence[Query | None], arguments: Settings) -> None:
    """bm25_candidates is an OR of the rarest words, within the budget or one word with documents, and matches what they match"""
    for reference, words, prepared in prepared_queries(documents, drawn, arguments):
        chosen = {word['word'] for word in json.loads(prepared)['words'] if word['candidate']}
        known = [word for word in chosen if reference.count(word)]
        assert chosen == reference.candidates(words)
        assert bool(known) == any(map(reference.count, words))
        assert len(known) == 1 or sum(map(reference.count, known)) <= arguments.budget
        for document, (matches, nodes) in zip(documents, per_document('tsv @@ bm25_candidates(q), numnode(bm25_candidates(q))', prepared), strict=True):
            assert matches == any(sum(frequencies(document, word, words[word]).values()) for word in chosen)
            assert nodes == max(2 * len(chosen) - 1, 0)


@QUICK
@given(COLLECTIONS, LABELLED_QUERIES, ARGUMENTS)
def check_features(documents: Sequence[Document], drawn: Sequence[Query | None], arguments: Settings) -> None:
    """bm25f_features are those of the formula, as float4"""
    for reference, words, prepared in prepared_queries(documents, drawn, arguments):
        rows = per_document('bm25f_features(tsv, q)', prepared)
        for document, (features,) in zip(documents, rows, strict=True):
            score, n = reference.score(document, words), max(len(words), 1)
            of = lambda s: {word: ''.join(set(sections) & {s}) for word, sections in words.items()}
            expected = [score, score / (sum(map(reference.idf, words)) or 1), *(reference.score(document, of(s)) for s in 'ABCD'),
                        sum(any(frequencies(document, word, sections).values()) for word, sections in words.items()) / n,
                        *(sum(any(frequencies(document, word, sections).values()) for word, sections in of(s).items()) / n for s in 'ABCD'),
                        *(reference.lengths[id(document)][s] for s in 'ABCD')]
            assert np.allclose(features, expected, rtol=1e-6, atol=1e-30)


@QUICK
@given(COLLECTIONS, PLAIN_QUERIES, ARGUMENTS)
def check_frozen(documents: Sequence[Document], drawn: Sequence[Query | None], arguments: Settings) -> None:
    """bm25f_frozen has each word's weight in 255ths, rounded; its value reads back, and is not stale"""
    for reference, words, prepared in prepared_queries(documents, drawn, arguments):
        columns = 'bm25f_frozen(f, q), bm25_bound(q), bm25f_is_stale(f, q), bm25_frozen_send(f::text::bm25_frozen) = bm25_frozen_send(f)'
        rows = per_document(columns, prepared, ', bm25f_freeze(tsv, q) AS f')
        for document, (score, bound, is_stale, same) in zip(documents, rows, strict=True):
            shares = {word: share for word in words if (share := reference.share(document, word)) > 0}
            least, most = (sum(reference.idf(word) * max(share * 255 + error, 1) / 255 for word, share in shares.items()) for error in (-.500001, .500001))
            assert least - TOLERANCE <= score <= most + TOLERANCE
            assert score <= bound and same and not is_stale


@QUICK
@given(COLLECTIONS, LABELLED_QUERIES, ARGUMENTS)
def check_values(documents: Sequence[Document], drawn: Sequence[Query | None], arguments: Settings) -> None:
    """a bm25_query has the words and the idf of the formula, and its text reads back bit for bit"""
    for reference, words, prepared in prepared_queries(documents, drawn, arguments):
        value = json.loads(prepared)
        found = {word['word']: ''.join(reversed(word['sections'])) for word in value['words']}
        assert found == words
        assert all(is_close(word['idf'], reference.idf(word['word'])) for word in value['words'])
        assert all(is_close(mean, reference.means[s]) for s, mean in zip(SECTIONS, value['lengths'], strict=True))
        assert (value['weights'], value['b'], value['k1']) == (list(arguments.weights), arguments.b, arguments.k1)
        assert CONN.execute('SELECT %s::bm25_query::text', (prepared,)).fetchone()[0] == prepared


def main() -> bool:
    global CONN
    with psycopg.connect(autocommit=True) as conn:
        conn.execute('DROP DATABASE IF EXISTS bm25f_properties')
        conn.execute('CREATE DATABASE bm25f_properties')
    with psycopg.connect(dbname='bm25f_properties', autocommit=True) as CONN:
        CONN.execute('SET client_min_messages = error; CREATE EXTENSION colbert_pg; CREATE TABLE documents (id int, tsv tsvector)')
        failed = report_properties(check_scores, check_texts, check_terms, check_candidates, check_features, check_frozen, check_values)
    with psycopg.connect(autocommit=True) as conn:
        conn.execute('DROP DATABASE bm25f_properties')
    return failed


if __name__ == '__main__':
    sys.exit(main())
