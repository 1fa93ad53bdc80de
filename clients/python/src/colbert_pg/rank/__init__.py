"""Fit how MaxSim and full text are ranked together, by judgements: a weight, or a ranker."""

from .candidates import Columns, Expression
from .dataset import FEATURES, TrainingData, training_data
from .models import LinearModel, Model, TreeModel
from .training import (
    LAMBDAMART_SETTINGS,
    LOGISTIC_SETTINGS,
    Ranker,
    train_lambdamart,
    train_logistic,
)
from .weight import DEFAULT_WEIGHT, WEIGHTS, WeightFit, fit_weight

__all__ = [
    "DEFAULT_WEIGHT",
    "FEATURES",
    "LAMBDAMART_SETTINGS",
    "LOGISTIC_SETTINGS",
    "WEIGHTS",
    "Columns",
    "Expression",
    "LinearModel",
    "Model",
    "Ranker",
    "TrainingData",
    "TreeModel",
    "WeightFit",
    "fit_weight",
    "train_lambdamart",
    "train_logistic",
    "training_data",
]
