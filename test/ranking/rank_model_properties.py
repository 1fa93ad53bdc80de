#!/usr/bin/python3
"""Compare rank_score with a plain walk in Python over trees that hypothesis draws, and give rank_model damaged texts. TAP output.

The models are written as LightGBM and XGBoost write theirs; the libraries are not needed, and rank_model_equal.py compares with them. Runs on
the server of PGHOST, in a database of its own. COLBERT_EXTRA draws more.
"""
import json
import math
import os
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from tap import report_properties

EXAMPLES = 2000 if os.environ.get('COLBERT_EXTRA') else 40
QUICK = settings(max_examples=EXAMPLES, deadline=None, database=None)
FEATURES = ('width', 'height', 'kind', 'age')
CATEGORICAL, DEFAULT_LEFT = 1, 2        # bits of decision_type; the type of missing values is above them
MISSING_NONE, MISSING_ZERO, MISSING_NAN = range(3)
ZERO = np.float32(1e-35)
NULL = '22004'                          # SQLSTATE of a NULL in a feature that refuses it
REFUSALS = ('22', '0A', '54')           # classes of SQLSTATE: data, not supported, limits
CONN: psycopg.Connection

Row = Sequence[float]


# ---- the reference ----

@dataclass
class Node:
    feature: int
    decision: int
    threshold: float
    categories: frozenset[int]
    left: int = 0
    right: int = 0

    @property
    def missing(self) -> int:
        return self.decision >> 2

    def goes_left(self, value: np.float32) -> bool:
        if self.decision & CATEGORICAL:
            return bool(-1 < value < 2 ** 31) and int(value) in self.categories
        if np.isnan(value) or self.missing == MISSING_ZERO and abs(value) <= ZERO:
            return bool(self.decision & DEFAULT_LEFT)
        return float(value) <= self.threshold


@dataclass
class Tree:
    """A tree as LightGBM grows it: the split of leaf k turns it into a node, whose leaves are k and a new one."""
    nodes: list[Node] = field(default_factory=list)
    leaves: list[float] = field(default_factory=list)

    def value(self, row: Row) -> float:
        at = 0 if self.nodes else ~0
        while at >= 0:
            node = self.nodes[at]
            at = node.left if node.goes_left(np.float32(row[node.feature])) else node.right
        return self.leaves[~at]

    def split(self, leaf: int, node: Node) -> None:
        for parent in self.nodes:
            parent.left, parent.right = (len(self.nodes) if child == ~leaf else child for child in (parent.left, parent.right))
        node.left, node.right = ~leaf, ~(len(self.nodes) + 1)
        self.nodes.append(node)


def refuses(trees: Sequence[Tree], row: Row) -> bool:
    return any(math.isnan(row[node.feature]) and node.missing == MISSING_NONE for tree in trees for node in tree.nodes)


# ---- drawn values ----

# Numbers that thresholds and features share, so that they often are equal
COMMON = tuple(float(np.float32(x)) for x in (0, -0., -.5, 3, 33, 64, 1e-36, -1e-36, 1e-35, -1e-35, 2e-35, -1e30))
REALS = st.sampled_from(COMMON) | st.floats(width=32, allow_nan=False)
ROWS = st.lists(st.lists(REALS | st.just(math.nan), min_size=len(FEATURES), max_size=len(FEATURES)), min_size=1, max_size=6)
# The numbers of jsonb have no -0
unsigned_zero = lambda number: number + 0.
FINITE = st.floats(-1e300, 1e300) | st.sampled_from((.1, .2, .3, 5e-324, -1e-310))
DECISIONS = st.builds(lambda is_set, left, missing: is_set | left | missing << 2, st.sampled_from((0, 0, CATEGORICAL)), st.sampled_from((0, DEFAULT_LEFT)), st.integers(0, 2))
THRESHOLDS = st.sampled_from(COMMON) | st.floats(allow_nan=False)
NODES = st.builds(Node, st.integers(0, len(FEATURES) - 1), DECISIONS, THRESHOLDS, st.frozensets(st.sampled_from((0, 3, 33, 64)) | st.integers(0, 70), max_size=5))


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    tree = Tree()
    for n in range(draw(st.integers(0, 9))):
        tree.split(draw(st.integers(0, n)), draw(NODES))
    tree.leaves = draw(st.lists(FINITE, min_size=len(tree.nodes) + 1, max_size=len(tree.nodes) + 1))
    return tree


FORESTS = st.lists(trees(), min_size=1, max_size=5)


def words_of(categories: frozenset[int]) -> list[int]:
    """Return a set as the words of a bitmap."""
    return [sum(1 << bit for bit in range(32) if word * 32 + bit in categories) for word in range(max(categories, default=-1) // 32 + 1)]


def tree_text(number: int, tree: Tree) -> str:
    sets = [words_of(node.categories) for node in tree.nodes if node.decision & CATEGORICAL]
    lines = {'num_leaves': [len(tree.leaves)], 'num_cat': [len(sets)]}
    if tree.nodes:
        places = iter(range(len(sets)))
        lines |= {'split_feature': [node.feature for node in tree.nodes],
                  'threshold': [next(places) if node.decision & CATEGORICAL else node.threshold for node in tree.nodes],
                  'decision_type': [node.decision for node in tree.nodes],
                  'left_child': [node.left for node in tree.nodes], 'right_child': [node.right for node in tree.nodes]}
    lines['leaf_value'] = tree.leaves
    if sets:
        lines |= {'cat_boundaries': [sum(map(len, sets[:i])) for i in range(len(sets) + 1)], 'cat_threshold': [word for words in sets for word in words]}
    return f'Tree={number}\n' + ''.join(f"{key}={' '.join(map(repr, numbers))}\n" for key, numbers in lines.items())


def lightgbm_text(forest: Sequence[Tree]) -> str:
    head = f"tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx={len(FEATURES) - 1}\nfeature_names={' '.join(FEATURES)}\n\n"
    return head + '\n'.join(tree_text(i, tree) for i, tree in enumerate(forest)) + '\nend of trees\n'


# ---- the server ----

def as_array(row: Row) -> list[float | None]:
    return [None if math.isnan(value) else value for value in row]


def set_model(text: str) -> None:
    CONN.execute('TRUNCATE models')
    CONN.execute('INSERT INTO models VALUES (%s::text::rank_model)', (text,))


def score(row: Row, names: Sequence[str] | None = None) -> float | str | None:
    """Return the score of a row, or the SQLSTATE of the error."""
    try:
        if names is None:
            return CONN.execute('SELECT rank_score(model, %s::real[]) FROM models', (as_array(row),)).fetchone()[0]
        return CONN.execute('SELECT rank_score(model, %s::real[], %s) FROM models', (as_array(row), list(names))).fetchone()[0]
    except psycopg.Error as error:
        return error.sqlstate


def is_same(found: float | str | None, expected: float) -> bool:
    return isinstance(found, float) and struct.pack('<d', found) == struct.pack('<d', expected)


# ---- properties ----

@QUICK
@given(FORESTS, ROWS)
def check_lightgbm(forest: Sequence[Tree], rows: Sequence[Row]) -> None:
    """rank_score is the sum of the leaves, bit for bit: missing values of three kinds, categories, single leaves"""
    set_model(lightgbm_text(forest))
    for row in rows:
        assert score(row) == NULL if refuses(forest, row) else is_same(score(row), sum((tree.value(row) for tree in forest), 0.))


@QUICK
@given(FORESTS, ROWS, st.permutations((*FEATURES, 'other', 'another')))
def check_names(forest: Sequence[Tree], rows: Sequence[Row], names: Sequence[str]) -> None:
    """features are found by their names, in any order and among others"""
    set_model(lightgbm_text(forest))
    for row in rows:
        known = dict(zip(FEATURES, row, strict=True))
        found, expected = score([known.get(name, math.nan) for name in names], names), score(row)
        assert found == expected if isinstance(expected, str) else is_same(found, expected)


@QUICK
@given(FORESTS)
def check_forms(forest: Sequence[Tree]) -> None:
    """a model's text and binary form read back bit for bit, and it counts its trees and leaves"""
    set_model(lightgbm_text(forest))
    same, binary, info = CONN.execute('SELECT model::text::rank_model::text = model::text, rank_model_send(model) = rank_model_send(model::text::rank_model), '
                                      'rank_model_info(model)::text FROM models').fetchone()
    assert same and binary
    assert info == f'(lightgbm,{len(FEATURES)},{len(forest)},{sum(len(tree.leaves) for tree in forest)})'
    sent = CONN.execute('SELECT model FROM models', binary=True).fetchone()[0]
    with CONN.cursor().copy('COPY models FROM STDIN (FORMAT binary)') as copy:
        copy.write(b'PGCOPY\n\xff\r\n\0' + bytes(8) + struct.pack('>hi', 1, len(sent)) + bytes(sent) + struct.pack('>h', -1))
    assert CONN.execute('SELECT count(*), count(DISTINCT model::text) FROM models').fetchone() == (2, 1)


@st.composite
def xgboost_trees(draw: st.DrawFn) -> dict[str, list]:
    """Draw a tree as XGBoost writes it: a node that is split gets two new nodes at the end."""
    left, right, leaves = [-1], [-1], [0]
    for _ in range(draw(st.integers(0, 7))):
        at = leaves.pop(draw(st.integers(0, len(leaves) - 1)))
        left[at], right[at] = len(left), len(left) + 1
        leaves += left[at], right[at]
        left, right = left + [-1, -1], right + [-1, -1]
    several = lambda values: st.lists(values, min_size=len(left), max_size=len(left))
    return {'left_children': left, 'right_children': right, 'split_indices': draw(several(st.integers(0, len(FEATURES) - 1))),
            'split_conditions': draw(several((st.floats(-2.0**60, 2.0**60, width=32) | st.sampled_from(COMMON)).map(unsigned_zero))), 'default_left': draw(several(st.integers(0, 1)))}


def xgboost_value(tree: dict[str, list], row: Row) -> np.float32:
    at = 0
    while tree['left_children'][at] >= 0:
        value, condition = np.float32(row[tree['split_indices'][at]]), np.float32(tree['split_conditions'][at])
        goes_left = tree['default_left'][at] if np.isnan(value) else value < condition
        at = tree['left_children' if goes_left else 'right_children'][at]
    return np.float32(tree['split_conditions'][at])


def xgboost_text(forest: Sequence[dict[str, list]], base: float) -> str:
    parameters = {'base_score': f'[{base!r}]', 'num_feature': str(len(FEATURES)), 'num_class': '0'}
    booster = {'name': 'gbtree', 'model': {'trees': [tree | {'tree_param': {'size_leaf_vector': '1'}} for tree in forest]}}
    return json.dumps({'learner': {'objective': {'name': 'rank:ndcg'}, 'learner_model_param': parameters, 'gradient_booster': booster}})


XGBOOST = st.tuples(st.lists(xgboost_trees(), min_size=1, max_size=5), st.floats(-100, 100, width=32).map(unsigned_zero))


@QUICK
@given(XGBOOST, ROWS)
def check_xgboost(model: tuple[Sequence[dict[str, list]], float], rows: Sequence[Row]) -> None:
    """rank_score is XGBoost's sum of floats, bit for bit"""
    forest, base = model
    set_model(xgboost_text(forest, base))
    for row in rows:
        expected = np.float32(base)
        for tree in forest:
            expected += xgboost_value(tree, row)
        assert is_same(score(row), float(expected))


LINEAR = st.builds(lambda weights, intercept: {'weights': weights, 'intercept': intercept, 'features': list(FEATURES)},
                   st.lists(FINITE.map(unsigned_zero), min_size=len(FEATURES), max_size=len(FEATURES)), FINITE.map(unsigned_zero))


@QUICK
@given(LINEAR, ROWS)
def check_linear(model: dict, rows: Sequence[Row]) -> None:
    """a linear model is its weighted sum, in order"""
    set_model(json.dumps(model))
    for row in rows:
        expected = model['intercept']
        for weight, value in zip(model['weights'], row, strict=True):
            expected += weight * value
        if any(map(math.isnan, row)):
            assert score(row) == NULL
        elif not math.isnan(expected):
            assert is_same(score(row), expected)


# ---- damage ----

TOKENS = st.sampled_from(('nan', 'inf', '-1', '0', '1e999', '2147483648', '-2147483649', '99999999999', '65536', '', ' ', '\n', '=', '"', '{', '}', '[', ']', ',', 'null', 'Tree=0', 'end of trees'))
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), TOKENS | st.text('0123456789-.eE \n=,"x', max_size=3) | st.just(None)), min_size=1, max_size=3)
MODELS = FORESTS.map(lightgbm_text) | XGBOOST.map(lambda model: xgboost_text(*model)) | LINEAR.map(json.dumps)


def edited(text: str, edits: Sequence[tuple[float, int, str | None]]) -> str:
    """Replace some characters at a place by others, or cut the text there."""
    for place, n, token in edits:
        at = int(place * len(text))
        text = text[:at] if token is None else text[:at] + token + text[at + n:]
    return text


def outcome(text: str) -> str:
    """Return the SQLSTATE that a model's text gets. If it is accepted, it must score and read back."""
    try:
        with CONN.transaction():
            set_model(text)
    except psycopg.Error as error:
        return error.sqlstate or 'the server went away'
    n, same = CONN.execute('SELECT (rank_model_info(model)).features, model::text::rank_model::text = model::text FROM models').fetchone()
    assert same
    for value in (0., 1e30, math.nan):
        found = score([value] * n)
        assert isinstance(found, float) or found == NULL
    return '22'


@QUICK
@given(MODELS, EDITS)
def check_damaged_texts(text: str, edits: Sequence[tuple[float, int, str | None]]) -> None:
    """a damaged text is refused as one, or is another model"""
    assert outcome(edited(text, edits)).startswith(REFUSALS)


@QUICK
@given(st.one_of(FORESTS.map(lightgbm_text), LINEAR.map(json.dumps)), st.data())
def check_damaged_bytes(text: str, data: st.DataObject) -> None:
    """damaged bytes are refused as such, or are another model"""
    set_model(text)
    value = CONN.execute('SELECT model::text FROM models').fetchone()[0]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(2, len(value) - 1) | st.integers(2, min(75, len(value) - 1)))
        value = value[:at] + data.draw(st.sampled_from('0123456789abcdef')) + value[at + 1:]
    if data.draw(st.booleans()):
        value = value[:data.draw(st.integers(2, len(value)))]
    assert outcome(value).startswith(REFUSALS)


def main() -> bool:
    global CONN
    with psycopg.connect(autocommit=True) as conn:
        conn.execute('DROP DATABASE IF EXISTS rank_model_properties')
        conn.execute('CREATE DATABASE rank_model_properties')
    with psycopg.connect(dbname='rank_model_properties', autocommit=True) as CONN:
        CONN.execute('CREATE EXTENSION colbert_pg; CREATE TABLE models (model rank_model)')
        failed = report_properties(check_lightgbm, check_names, check_forms, check_xgboost, check_linear, check_damaged_texts, check_damaged_bytes)
    with psycopg.connect(autocommit=True) as conn:
        conn.execute('DROP DATABASE rank_model_properties')
    return failed


if __name__ == '__main__':
    sys.exit(main())
