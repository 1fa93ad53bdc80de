"""Train a ranker, and measure it by nested cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from ..evaluate import Difference, Evaluation, compare, score
from .dataset import TrainingData
from .folds import groups_of, split
from .models import Model, lambdamart, logistic
from .weight import DEFAULT_WEIGHT, MEASURE, evaluation

Settings: TypeAlias = Mapping[str, Any]
Topics: TypeAlias = Mapping[str, Hashable] | None
LOGISTIC_SETTINGS: Sequence[Settings] = [{"strength": c} for c in (0.01, 0.1, 1.0, 10.0)]
LAMBDAMART_SETTINGS: Sequence[Settings] = [
    {"leaves": leaves, "rounds": rounds} for leaves in (4, 15) for rounds in (30, 100)
]


@dataclass(frozen=True)
class Ranker:
    """A model that all queries trained, and nDCG@10 of its kind for queries it has not seen."""

    model: Model
    settings: Settings
    """The best for all queries."""
    maxsim: float
    """nDCG@10 of MaxSim alone."""
    default: float
    """nDCG@10 of a weighted sum of both scores, by the weight .8."""
    fitted: float
    """nDCG@10 of nested cross-validation: other queries chose the settings and trained."""
    gain: Difference
    """By how much fitted is better than MaxSim alone."""
    gain_over_default: Difference
    """By how much fitted is better than the weighted sum."""

    def export(self) -> str:
        """Return the text that rank_model reads."""
        return self.model.export()

    def __str__(self) -> str:
        return "\n".join(
            [
                f"MaxSim alone  {MEASURE} {self.maxsim:.4f}",
                f"weight {DEFAULT_WEIGHT}    {MEASURE} {self.default:.4f}",
                f"ranker        {MEASURE} {self.fitted:.4f}",
                f"against MaxSim alone: {self.gain}",
                f"against weight {DEFAULT_WEIGHT}: {self.gain_over_default}",
            ]
        )


def train_logistic(
    data: TrainingData,
    *,
    settings: Sequence[Settings] = LOGISTIC_SETTINGS,
    topics: Topics = None,
    folds: int = 5,
    seed: int = 0,
) -> Ranker:
    """Train a logistic regression by scikit-learn.

    settings: values of strength, its C. topics: those of fit_weight.
    """
    return _train(logistic, data, settings, Folds(folds, seed, topics))


def train_lambdamart(
    data: TrainingData,
    *,
    settings: Sequence[Settings] = LAMBDAMART_SETTINGS,
    topics: Topics = None,
    folds: int = 5,
    seed: int = 0,
) -> Ranker:
    """Train LambdaMART by LightGBM.

    settings: numbers of leaves of a tree, and of rounds. topics: those of fit_weight.
    """
    return _train(lambdamart, data, settings, Folds(folds, seed, topics))


@dataclass(frozen=True)
class Folds:
    """How queries are split."""

    count: int
    seed: int
    topics: Topics

    def of(self, data: TrainingData) -> list[tuple[TrainingData, TrainingData]]:
        """Return the queries outside and inside of each fold."""
        names = list(data.groups)
        parts = split(names, self.count, self.seed, self.topics)
        inside = [{names[position] for position in part} for part in parts]
        return [
            (data.of([name for name in names if name not in part]), data.of(list(part)))
            for part in inside
        ]

    def within(self, data: TrainingData) -> list[tuple[TrainingData, TrainingData]]:
        """Return the folds of the queries outside of a fold, fewer if their topics are fewer."""
        groups = len(groups_of(data.groups, self.topics or {}))
        if groups < 2:
            raise ValueError(
                "expected two queries or topics outside of each fold to choose settings"
            )
        return replace(self, count=min(self.count, groups)).of(data)


def _train(
    kind: Callable[..., Model], data: TrainingData, settings: Sequence[Settings], folds: Folds
) -> Ranker:
    if not settings:
        raise ValueError("expected at least one choice of settings")
    if not 0 < np.count_nonzero(data.labels) < len(data.labels):
        raise ValueError("expected candidates that are relevant, and others")
    alone, default = (
        score(data.run(data.fused(weight)), data.qrels, [MEASURE])
        for weight in (1.0, DEFAULT_WEIGHT)
    )
    held_out: dict[str, float] = {}
    for outside, inside in folds.of(data):
        model = kind(outside, **best_settings(kind, outside, settings, folds), seed=folds.seed)
        held_out |= _measured(model, inside)
    fitted = evaluation(held_out)
    best = best_settings(kind, data, settings, folds)
    return Ranker(
        kind(data, **best, seed=folds.seed),
        best,
        alone.means[MEASURE],
        default.means[MEASURE],
        fitted.means[MEASURE],
        compare(alone, fitted, MEASURE, seed=folds.seed),
        compare(default, fitted, MEASURE, seed=folds.seed),
    )


def _measured(model: Model, data: TrainingData) -> Mapping[str, float]:
    """Return nDCG@10 of each query."""
    found: Evaluation = score(data.run(model.predict(data.features)), data.qrels, [MEASURE])
    return found.per_query[MEASURE]


def best_settings(
    kind: Callable[..., Model], data: TrainingData, settings: Sequence[Settings], folds: Folds
) -> Settings:
    """Return the settings that are best by cross-validation; of equal ones, the first."""
    if len(settings) == 1:
        return settings[0]
    parts = folds.within(data)
    means = []
    for choice in settings:
        found: dict[str, float] = {}
        for outside, inside in parts:
            found |= _measured(kind(outside, **choice, seed=folds.seed), inside)
        means.append(sum(found.values()) / len(found))
    return settings[int(np.argmax(means))]
