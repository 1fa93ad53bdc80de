"""Measures of a ranking, by ir_measures, and whether two rankings differ."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from .._progress import Progress, shown
from ..collection import Collection
from .files import Qrels, Run

MEASURES = ("nDCG@10", "R@100", "RR@10", "AP", "P@10")
_BATCH = 1 << 20  # numbers that a step of the bootstrap draws


class Searcher(Protocol):
    """A Collection, or what has its search."""

    def search(self, query: Any, limit: int) -> Iterable[Any]:
        """Return hits, which have an id and a score."""


Found: TypeAlias = Mapping[Any, float] | Iterable[Any]
Search: TypeAlias = Searcher | Callable[[Any, int], Found]


@dataclass(frozen=True)
class Evaluation:
    """How well documents were ranked."""

    means: Mapping[str, float]
    """By the name of a measure, over all queries."""
    per_query: Mapping[str, Mapping[str, float]]
    """By the name of a measure and the id of a query."""
    run: Run
    """The findings."""

    def __str__(self) -> str:
        width = max((len(name) for name in self.means), default=0)
        return "\n".join(f"{name:{width}}  {value:.4f}" for name, value in self.means.items())


@dataclass(frozen=True)
class Difference:
    """By how much a ranking is better than another, with a confidence interval."""

    measure: str
    mean: float
    low: float
    high: float
    confidence: float
    queries: int

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return (
            f"{self.measure} {self.mean:+.4f} "
            f"({self.confidence:.0%} of resamples: {self.low:+.4f} to {self.high:+.4f})"
        )


def score(run: Run, qrels: Qrels, measures: Sequence[str] = MEASURES) -> Evaluation:
    """Measure a run by judgements.

    measures: names of ir_measures, such as nDCG@10, R@100 (recall), RR@10 (MRR), AP (MAP), P@5.
    A judged query for which nothing was found counts as 0. Queries without judgements are ignored.
    Of documents with equal scores, the one whose id sorts last comes first, as in trec_eval.
    """
    ir_measures = _ir_measures()
    judged = {query: dict(documents) for query, documents in qrels.items() if documents}
    if not judged:
        raise ValueError("expected judgements of at least one query")
    parsed = _parse(measures)
    found = {query: _checked(query, run[query]) for query in judged if run.get(query)}
    results = ir_measures.calc(list(set(parsed.values())), judged, found)
    values: dict[Any, dict[str, float]] = {measure: {} for measure in parsed.values()}
    for metric in results.per_query:
        values[metric.measure][metric.query_id] = float(metric.value)
    return Evaluation(
        {name: float(results.aggregated[measure]) for name, measure in parsed.items()},
        {name: values[measure] for name, measure in parsed.items()},
        run,
    )


def _ir_measures() -> Any:
    try:
        import ir_measures  # noqa: PLC0415
    except ImportError:
        raise ImportError("measures need ir_measures: pip install 'colbert-pg[evaluate]'") from None
    return ir_measures


def _parse(measures: Sequence[str]) -> dict[str, Any]:
    """Return measures of ir_measures by the names that were given."""
    if isinstance(measures, str):
        raise ValueError(f"expected a list of measures, not {measures!r}")
    parsed = {name: _parse_one(name) for name in measures}
    if not parsed:
        raise ValueError("expected at least one measure")
    return parsed


def _parse_one(name: str) -> Any:
    """Return a measure by a name such as nDCG(dcg='log2')@10.

    parse_measure of ir_measures 0.4.3 reads the same, but needs ast.Num, which Python 3.14 lacks.
    """
    known = _ir_measures().measures.registry
    try:
        node: ast.AST = ast.parse(name.strip(), mode="eval").body
        parameters, cutoff = {}, None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            cutoff = ast.literal_eval(node.right)
            node = node.left
        if isinstance(node, ast.Call) and not node.args and all(k.arg for k in node.keywords):
            parameters = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
            node = node.func
        if not isinstance(node, ast.Name) or node.id not in known:
            raise ValueError(f"expected one of {', '.join(sorted(known))}, as in nDCG@10")
        if cutoff is not None and not (type(cutoff) in (int, float) and cutoff > 0):
            raise ValueError(f"expected a positive number after @, not {cutoff!r}")
        measure = known[node.id](**parameters)
        measure = measure if cutoff is None else measure @ cutoff
        measure.validate_params()
    except (AssertionError, TypeError, ValueError, SyntaxError) as e:
        raise ValueError(f"unknown measure {name!r}: {e}") from None
    return measure


def _checked(query: str, found: Mapping[str, float]) -> dict[str, float]:
    for document, value in found.items():
        if not math.isfinite(value):
            raise ValueError(
                f"expected finite scores, not {value} (query {query}, document {document})"
            )
    return {document: float(value) for document, value in found.items()}


def evaluate(
    search: Search,
    queries: Mapping[str, Any],
    qrels: Qrels,
    measures: Sequence[str] = MEASURES,
    k: int = 100,
    *,
    progress: Progress = False,
) -> Evaluation:
    """Search for the k best documents of each judged query, and measure the run.

    search: a Collection, or a function of a query and k that returns hits, pairs of id and score,
    or a mapping of ids to scores. Of several hits with one id, the best counts. The distances of a
    Collection by maxsim_l2 become negative scores.
    queries: texts, or what else search takes, by the ids that qrels has.
    progress: True for a bar of tqdm, or a function that gets the number of queries done and all.
    """
    for name, measure in _parse(measures).items():
        cutoff = measure.params.get("cutoff")
        if isinstance(cutoff, int) and cutoff > k:
            raise ValueError(f"measure {name} needs a k of at least {cutoff}, not {k}")
    judged = {query: qrels[query] for query in queries if qrels.get(query)}
    if not judged:
        raise ValueError(f"none of the {len(queries)} queries has judgements")
    find = search if callable(search) else search.search
    sign = -1 if _has_distances(search) else 1
    run = {}
    with shown(progress, len(judged), " queries") as show:
        for number, query in enumerate(judged, 1):
            run[query] = _scores(find(queries[query], k), sign)
            show(number)
    return score(run, judged, measures)


def _has_distances(search: Search) -> bool:
    """Return true if smaller scores are better."""
    return isinstance(search, Collection) and search.similarity == "maxsim_l2"


def _scores(found: Found, sign: int) -> dict[str, float]:
    """Return the best score of each id, with another sign if scores are distances."""
    scores: dict[str, float] = {}
    for hit in found.items() if isinstance(found, Mapping) else found:
        name, value = hit if isinstance(hit, tuple) else (hit.id, hit.score)
        value = sign * float(value)
        scores[str(name)] = max(value, scores.get(str(name), value))
    return scores


def compare(
    baseline: Evaluation,
    other: Evaluation,
    measure: str = "nDCG@10",
    *,
    confidence: float = 0.95,
    samples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """Return by how much other is better than baseline, by a paired bootstrap over the queries.

    The interval is that of percentiles: `confidence` of the resampled means lie in it.
    """
    if not (0 < confidence < 1 and samples >= 1):
        raise ValueError(
            f"expected a confidence between 0 and 1 and at least one sample, "
            f"not {confidence} and {samples}"
        )
    before, after = (_values(evaluation, measure) for evaluation in (baseline, other))
    if before.keys() != after.keys():
        only = sorted(before.keys() ^ after.keys())
        raise ValueError(f"expected evaluations of the same queries; only one has {only[0]!r}")
    differences = np.array([after[query] - before[query] for query in sorted(before)])
    means = _resampled_means(differences, samples, seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Difference(
        measure, float(differences.mean()), float(low), float(high), confidence, len(differences)
    )


def _values(evaluation: Evaluation, measure: str) -> Mapping[str, float]:
    try:
        return evaluation.per_query[measure]
    except KeyError:
        names = ", ".join(evaluation.per_query)
        raise ValueError(f"expected a measure of {names}, not {measure!r}") from None


def _resampled_means(values: Any, samples: int, seed: int) -> Any:
    random = np.random.default_rng(seed)
    rows = max(1, _BATCH // len(values))
    means = [
        values[random.integers(len(values), size=(min(rows, samples - done), len(values)))].mean(1)
        for done in range(0, samples, rows)
    ]
    return np.concatenate(means)
