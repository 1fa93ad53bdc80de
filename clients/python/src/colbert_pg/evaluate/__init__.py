"""Measure a search: against judgements of relevance, and an index against exact scores."""

from .files import Qrels, Run, read_qrels, read_queries, read_run, write_run
from .measures import MEASURES, Difference, Evaluation, compare, evaluate, score
from .recall import IndexRecall, index_recall

__all__ = [
    "MEASURES",
    "Difference",
    "Evaluation",
    "IndexRecall",
    "Qrels",
    "Run",
    "compare",
    "evaluate",
    "index_recall",
    "read_qrels",
    "read_queries",
    "read_run",
    "score",
    "write_run",
]
