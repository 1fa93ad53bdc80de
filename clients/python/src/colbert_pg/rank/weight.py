"""The weight of MaxSim beside BM25F, fitted by judgements."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from .._names import Table
from .._progress import Progress
from ..encoders.protocol import QueryEncoder
from ..evaluate import Difference, Evaluation, Qrels, compare, score
from .candidates import Candidates, Columns, Expression, Values
from .folds import split

MEASURE = "nDCG@10"
DEFAULT_WEIGHT = 0.8
WEIGHTS = tuple(step / 20 for step in range(21))
_MAXSIM_ALONE = 1.0
_SCORES = """
    maxsim({doc}, multivector(%(doc)s)) / num_tokens(multivector(%(doc)s)),
    bm25f({tsv}, %(words)s::bm25_query) / bm25_bound(%(words)s::bm25_query)
"""


@dataclass(frozen=True)
class WeightFit:
    """The best weight of MaxSim, and nDCG@10 of the questions that it was fitted by."""

    weight: float
    """The best for all questions."""
    maxsim: float
    """nDCG@10 of MaxSim alone."""
    default: float
    """nDCG@10 of the weight .8."""
    fitted: float
    """nDCG@10 of cross-validation: each question by the weight that the other folds chose."""
    gain: Difference
    """By how much fitted is better than MaxSim alone."""
    fold_weights: Sequence[float]
    """The weight that the other folds chose, for each fold."""

    @property
    def fuse(self) -> bool:
        """Whether full text improves the ranking: the interval of the gain is above 0."""
        return self.gain.low > 0

    def __str__(self) -> str:
        rows = {
            "MaxSim alone": self.maxsim,
            f"weight {DEFAULT_WEIGHT}": self.default,
            "fitted weight": self.fitted,
        }
        advice = f"fuse: weight {self.weight}"
        if not self.fuse:
            advice = "do not fuse: full text does not surely improve MaxSim"
        if not any(rows.values()):
            advice = "nothing relevant was found: are the ids of the judgements those of the table?"
        return "\n".join(
            [
                f"weight of MaxSim  {self.weight}",
                *(f"{name:16}  {MEASURE} {value:.4f}" for name, value in rows.items()),
                f"against MaxSim alone: {self.gain}",
                advice,
            ]
        )


def fit_weight(
    conn: psycopg.Connection[Any],
    table: Table,
    queries: Mapping[str, str],
    qrels: Qrels,
    encoder: QueryEncoder,
    *,
    columns: Columns | None = None,
    statistics: Table | None = None,
    per_side: int = 50,
    where: Expression | None = None,
    params: Mapping[str, Any] | None = None,
    topics: Mapping[str, Hashable] | None = None,
    folds: int = 5,
    weights: Sequence[float] = WEIGHTS,
    confidence: float = 0.95,
    samples: int = 10_000,
    seed: int = 0,
    progress: Progress = False,
) -> WeightFit:
    """Fit w in `w * maxsim / num_tokens + (1 - w) * bm25f / bm25_bound` by nDCG@10.

    The candidates of a judged query are the best per_side rows by MaxSim and those by BM25F.
    statistics: the table that bm25_analyze made; by default TABLE_COLUMN_bm25.
    where: a condition for the candidates, in SQL with named parameters, and params their values.
    topics: the topic of each query. Queries of one topic are in one fold, so that a near-duplicate
    of a query does not choose its weight.
    weights: those to choose from. Of equally good ones, the largest is chosen.
    seed: of the folds, and of the bootstrap, which is that of evaluate.compare.
    """
    if not weights or not all(0 <= weight <= 1 for weight in weights):
        raise ValueError(f"expected weights from 0 to 1, not {list(weights)}")
    candidates = Candidates(
        conn,
        table,
        _SCORES,
        columns=columns or Columns(),
        statistics=statistics,
        per_side=per_side,
        where=where,
        params=params or {},
    )
    found = candidates.of(queries, qrels, encoder, progress)
    return best_weight(
        found,
        {query: qrels[query] for query in found},
        topics=topics,
        folds=folds,
        weights=weights,
        confidence=confidence,
        samples=samples,
        seed=seed,
    )


def best_weight(
    found: Mapping[str, Values],
    judged: Qrels,
    *,
    topics: Mapping[str, Hashable] | None = None,
    folds: int = 5,
    weights: Sequence[float] = WEIGHTS,
    confidence: float = 0.95,
    samples: int = 10_000,
    seed: int = 0,
) -> WeightFit:
    """Fit the weight by the two scores of each candidate of a query."""
    parts = split(list(found), folds, seed, topics)
    tried = {
        weight: _ranked(found, judged, weight)
        for weight in sorted({*weights, DEFAULT_WEIGHT, _MAXSIM_ALONE}, reverse=True)
    }
    choices = [weight for weight in tried if weight in weights]
    values = np.array(
        [[tried[weight].per_query[MEASURE][query] for query in found] for weight in choices]
    )
    chosen = [_best(np.delete(values, part, axis=1)) for part in parts]
    held_out = np.empty(len(found))
    for part, best in zip(parts, chosen, strict=True):
        held_out[part] = values[best, part]
    fitted = evaluation(dict(zip(found, held_out.tolist(), strict=True)))
    alone = tried[_MAXSIM_ALONE]
    return WeightFit(
        choices[_best(values)],
        alone.means[MEASURE],
        tried[DEFAULT_WEIGHT].means[MEASURE],
        fitted.means[MEASURE],
        compare(alone, fitted, MEASURE, confidence=confidence, samples=samples, seed=seed),
        [choices[best] for best in chosen],
    )


def _ranked(found: Mapping[str, Values], qrels: Qrels, weight: float) -> Evaluation:
    """Measure the ranking of the candidates by a weight."""
    run = {
        query: {
            key: weight * maxsim + (1 - weight) * bm25f
            for key, (maxsim, bm25f) in candidates.items()
        }
        for query, candidates in found.items()
    }
    return score(run, qrels, [MEASURE])


def _best(values: npt.NDArray[np.float64]) -> int:
    """Return the first row with the largest mean, rounding errors apart."""
    means = values.mean(axis=1)
    return int(np.argmax(means >= means.max() - 1e-12))


def evaluation(values: Mapping[str, float]) -> Evaluation:
    """Return an evaluation of values per query, such as those of several folds."""
    return Evaluation({MEASURE: float(np.mean(list(values.values())))}, {MEASURE: values}, {})
