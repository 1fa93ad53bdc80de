"""Train a ranker, and measure it by nested cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..evaluate import Difference, Evaluation, compare, score
from .dataset import TrainingData
from .models import Model, lambdamart, logistic
from .weight import MEASURE, evaluation, split

Settings: TypeAlias = Mapping[str, Any]
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
    fitted: float
    """nDCG@10 of nested cross-validation: other queries chose the settings and trained."""
    gain: Difference
    """By how much fitted is better than MaxSim alone."""

    def export(self) -> str:
        """Return the text that rank_model reads."""
        return self.model.export()

    def __str__(self) -> str:
        return "\n".join(
            [
                f"MaxSim alone  {MEASURE} {self.maxsim:.4f}",
                f"ranker        {MEASURE} {self.fitted:.4f}",
                f"against MaxSim alone: {self.gain}",
            ]
        )


def train_logistic(
    data: TrainingData,
    *,
    settings: Sequence[Settings] = LOGISTIC_SETTINGS,
    folds: int = 5,
    seed: int = 0,
) -> Ranker:
    """Train a logistic regression by scikit-learn. settings: values of strength, its C."""
    return _train(logistic, data, settings, folds, seed)


def train_lambdamart(
    data: TrainingData,
    *,
    settings: Sequence[Settings] = LAMBDAMART_SETTINGS,
    folds: int = 5,
    seed: int = 0,
) -> Ranker:
    """Train LambdaMART by LightGBM. settings: numbers of leaves of a tree, and of rounds."""
    return _train(lambdamart, data, settings, folds, seed)


def _train(
    kind: Callable[..., Model],
    data: TrainingData,
    settings: Sequence[Settings],
    folds: int,
    seed: int,
) -> Ranker:
    if not settings:
        raise ValueError("expected at least one choice of settings")
    if not 0 < np.count_nonzero(data.labels) < len(data.labels):
        raise ValueError("expected candidates that are relevant, and others")
    alone = score(data.run(data.features[:, data.names.index("maxsim")]), data.qrels, [MEASURE])
    held_out: dict[str, float] = {}
    for inside, outside in _parts(data, folds, seed):
        model = kind(inside, **_best(kind, inside, settings, folds, seed), seed=seed)
        held_out |= _measured(model, outside)
    fitted = evaluation(held_out)
    best = _best(kind, data, settings, folds, seed)
    return Ranker(
        kind(data, **best, seed=seed),
        best,
        alone.means[MEASURE],
        fitted.means[MEASURE],
        compare(alone, fitted, MEASURE, seed=seed),
    )


def _parts(data: TrainingData, folds: int, seed: int) -> list[tuple[TrainingData, TrainingData]]:
    """Return the queries outside and inside of each fold."""
    names = list(data.groups)
    parts = [{names[i] for i in part} for part in split(len(names), folds, seed)]
    return [
        (data.of([name for name in names if name not in part]), data.of(list(part)))
        for part in parts
    ]


def _measured(model: Model, data: TrainingData) -> Mapping[str, float]:
    """Return nDCG@10 of each query."""
    found: Evaluation = score(data.run(model.predict(data.features)), data.qrels, [MEASURE])
    return found.per_query[MEASURE]


def _best(
    kind: Callable[..., Model],
    data: TrainingData,
    settings: Sequence[Settings],
    folds: int,
    seed: int,
) -> Settings:
    """Return the settings that are best by cross-validation; of equal ones, the first."""
    if len(settings) == 1:
        return settings[0]
    parts = _parts(data, folds, seed)
    means = []
    for choice in settings:
        found: dict[str, float] = {}
        for inside, outside in parts:
            found |= _measured(kind(inside, **choice, seed=seed), outside)
        means.append(sum(found.values()) / len(found))
    return settings[int(np.argmax(means))]
