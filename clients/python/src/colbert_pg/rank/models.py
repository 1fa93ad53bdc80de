"""Rankers that are trained here, and that rank_model reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from .dataset import TrainingData

Scores: TypeAlias = npt.NDArray[np.float64]
_INSTALL = "{} needs {}: pip install 'colbert-pg[rank]'"


class Model(Protocol):
    """A trained ranker."""

    def predict(self, features: npt.NDArray[np.float32]) -> Scores:
        """Return what rank_score returns for each row."""

    def export(self) -> str:
        """Return the text that rank_model reads."""


@dataclass(frozen=True)
class LinearModel:
    """A weighted sum of the features."""

    weights: Sequence[float]
    intercept: float
    names: Sequence[str]

    def predict(self, features: npt.NDArray[np.float32]) -> Scores:
        """Return what rank_score returns for each row. It adds in the same order."""
        total = np.full(len(features), self.intercept)
        for column, weight in enumerate(self.weights):
            total += weight * features[:, column].astype(np.float64)
        return total

    def export(self) -> str:
        """Return the text that rank_model reads."""
        return json.dumps(
            {
                "weights": list(self.weights),
                "intercept": self.intercept,
                "features": list(self.names),
            }
        )


@dataclass(frozen=True)
class TreeModel:
    """Trees of LightGBM."""

    booster: Any

    def predict(self, features: npt.NDArray[np.float32]) -> Scores:
        """Return what rank_score returns for each row: LightGBM's raw prediction."""
        return np.asarray(self.booster.predict(features, raw_score=True), np.float64)

    def export(self) -> str:
        """Return the text that rank_model reads."""
        return str(self.booster.model_to_string())


def logistic(data: TrainingData, *, strength: float, seed: int) -> LinearModel:
    """Train a logistic regression on whether a candidate is relevant.

    strength: scikit-learn's C, the inverse of the regularisation. The features are standardised
    for it, and the weights are those of the features as they are.
    """
    try:
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    except ImportError:
        raise ImportError(_INSTALL.format("train_logistic", "scikit-learn")) from None
    features = data.features.astype(np.float64)
    if missing := [
        name
        for name, column in zip(data.names, features.T, strict=True)
        if not np.isfinite(column).all()
    ]:
        raise ValueError(
            f"expected a value of {missing[0]!r} for every candidate, not NULL or infinity"
        )
    if len(set((data.labels > 0).tolist())) < 2:
        raise ValueError("expected candidates that are relevant, and others, outside of each fold")
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread <= 1e-9 * np.abs(mean)] = np.inf  # a constant feature has the weight 0
    fitted = LogisticRegression(C=strength, max_iter=2000, random_state=seed).fit(
        (features - mean) / spread, data.labels > 0
    )
    weights = fitted.coef_[0] / spread
    intercept = float(fitted.intercept_[0] - weights @ mean)
    return LinearModel(weights.tolist(), intercept, data.names)


def lambdamart(data: TrainingData, *, leaves: int, rounds: int, seed: int) -> TreeModel:
    """Train LambdaMART with trees of some leaves, one per round. One thread, to be repeatable."""
    try:
        import lightgbm  # noqa: PLC0415
    except ImportError:
        raise ImportError(_INSTALL.format("train_lambdamart", "LightGBM")) from None
    gains, labels = np.unique(data.labels, return_inverse=True)
    settings: dict[str, Any] = {
        "objective": "lambdarank",
        "num_leaves": leaves,
        "learning_rate": 0.1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
        "label_gain": gains.tolist(),  # those of nDCG
    }
    inside = lightgbm.Dataset(
        data.features,
        labels,
        group=[count for count in data.groups.values() if count],
        feature_name=list(data.names),
    )
    return TreeModel(lightgbm.train(settings, inside, rounds))
