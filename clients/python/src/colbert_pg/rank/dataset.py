"""The training data of a learned ranker: the features that rank_score gets, and judgements."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from .._names import Table
from .._progress import Progress
from ..encoders.protocol import QueryEncoder
from ..evaluate import Qrels
from .candidates import Candidates, Columns, Expression, composed

FEATURES = (
    *("maxsim", "maxsim_mean", "maxsim_minimum", "maxsim_maximum", "maxsim_spread"),
    *("maxsim_median", "maxsim_below", "doc_tokens", "query_tokens"),
    *("bm25f", "bm25f_share", "bm25f_a", "bm25f_b", "bm25f_c", "bm25f_d"),
    *("words", "words_a", "words_b", "words_c", "words_d"),
    *("length_a", "length_b", "length_c", "length_d"),
)
"""Names of the numbers of maxsim_features, and of bm25f_features, in their order."""
SCORES = ("maxsim_mean", "bm25f_share")
"""The features that fit_weight weights."""
_VALUES = """
    maxsim_features({doc}, multivector(%(doc)s)) || bm25f_features({tsv}, %(words)s::bm25_query)
    {features}
"""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The candidates of judged queries. Those of a query follow each other."""

    features: npt.NDArray[np.float32]
    """A row per candidate: the real values that rank_score gets."""
    labels: npt.NDArray[np.int64]
    """The relevance of each candidate: 0 if it is not judged, or below 0."""
    groups: Mapping[str, int]
    """The number of candidates of each query, by its id."""
    documents: Sequence[str]
    """The id of each candidate."""
    qrels: Qrels
    """The judgements of the queries, of documents that are no candidates, too."""
    names: Sequence[str] = FEATURES

    def of(self, queries: Sequence[str]) -> TrainingData:
        """Return the data of some of the queries."""
        wanted = set(queries)
        kept = np.repeat(
            [query in wanted for query in self.groups], list(self.groups.values())
        ).astype(bool)
        return TrainingData(
            self.features[kept],
            self.labels[kept],
            {query: count for query, count in self.groups.items() if query in wanted},
            [key for key, keep in zip(self.documents, kept, strict=True) if keep],
            {query: judged for query, judged in self.qrels.items() if query in wanted},
            self.names,
        )

    def fused(self, weight: float) -> npt.NDArray[np.float64]:
        """Return the weighted sum of both scores of each candidate. With 1, MaxSim ranks alone."""
        maxsim, bm25f = (self.column(name).astype(np.float64) for name in SCORES)
        return weight * maxsim + (1 - weight) * bm25f

    def column(self, name: str) -> npt.NDArray[np.float32]:
        """Return a feature of each candidate."""
        return self.features[:, self.names.index(name)]

    def run(self, scores: npt.NDArray[Any]) -> dict[str, dict[str, float]]:
        """Return scores, one per candidate, as a run of evaluate.score."""
        pairs = iter(zip(self.documents, np.asarray(scores, np.float64).tolist(), strict=True))
        return {
            query: dict(next(pairs) for _ in range(count)) for query, count in self.groups.items()
        }


def training_data(
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
    features: Mapping[str, Expression] | None = None,
    params: Mapping[str, Any] | None = None,
    progress: Progress = False,
) -> TrainingData:
    """Return `maxsim_features || bm25f_features` and the relevance of each candidate.

    features: expressions of SQL over the columns of the table, by name, that follow those. NULL is
    a missing value.
    The other arguments are those of fit_weight.
    """
    more = features or {}
    names = _names(more)
    candidates = Candidates(
        conn,
        table,
        _VALUES,
        columns=columns or Columns(),
        statistics=statistics,
        per_side=per_side,
        where=where,
        params=params or {},
        features=_array(more),
    )
    found = candidates.of(queries, qrels, encoder, progress)
    rows = [values for of_query in found.values() for (values,) in of_query.values()]
    labels = [max(qrels[query].get(key, 0), 0) for query in found for key in found[query]]
    return TrainingData(
        np.array(rows, np.float32).reshape(len(rows), len(names)),
        np.array(labels, np.int64),
        {query: len(of_query) for query, of_query in found.items()},
        [key for of_query in found.values() for key in of_query],
        {query: qrels[query] for query in found},
        names,
    )


def _names(more: Mapping[str, Expression]) -> Sequence[str]:
    """Return the names of all features. LightGBM and rank_model read back these as they are."""
    for name in more:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in FEATURES:
            raise ValueError(
                "expected a new name of letters, digits and underscores for a feature, "
                f"not {name!r}"
            )
    return (*FEATURES, *more)


def _array(more: Mapping[str, Expression]) -> sql.Composable:
    """Return the expressions as an array to append."""
    if not more:
        return sql.SQL("")
    items = sql.SQL(", ").join(
        sql.SQL("{}::real").format(composed(expression)) for expression in more.values()
    )
    return sql.SQL("|| ARRAY[{}]").format(items)
