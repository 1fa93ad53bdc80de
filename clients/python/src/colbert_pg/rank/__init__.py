"""Fit how MaxSim and full text are ranked together, by judgements."""

from .candidates import Columns
from .weight import DEFAULT_WEIGHT, WEIGHTS, WeightFit, fit_weight

__all__ = ["DEFAULT_WEIGHT", "WEIGHTS", "Columns", "WeightFit", "fit_weight"]
