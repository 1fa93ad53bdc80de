"""What the pages of indexes show: contents, settings, and recall by time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import psycopg

from ..admin import IndexInfo, Trial, index_info, tune
from ..evaluate import index_recall
from ..multivector import MultiVector
from . import charts, queries
from .queries import SETTINGS
from .searcher import fetch
from .settings import Settings

_NOT_TRIED = "The present settings are not among those of colbert_tune."
ASKED_BY_PAGE = 20  # questions for settings that colbert_tune has not tried
PARTS = ("directory", "sketch", "code", "node", "posting")


@dataclass(frozen=True)
class Index:
    """An index of the table. options: those of its WITH, as text."""

    name: str
    method: str
    definition: str
    options: Mapping[str, str]
    is_valid: bool


@dataclass(frozen=True)
class Setting:
    """A search setting: of the session, of the index, and the one in effect. 0: automatic."""

    name: str
    session: float
    option: float

    @property
    def in_effect(self) -> float:
        return self.session or self.option


@dataclass(frozen=True)
class Measured:
    """Recall by time of an index. at: when it was measured.

    present: the number of the present settings among points, from 1; None if they were not
    measured, and note says why.
    """

    trials: Sequence[Trial]
    points: Sequence[charts.Point]
    present: int | None
    note: str
    questions: int
    at: datetime


def indexes_of(conn: psycopg.Connection[Any], settings: Settings) -> list[Index]:
    rows = fetch(conn, queries.indexes(settings.statements()))
    return [
        Index(name, method, definition, dict(option.split("=", 1) for option in options), is_valid)
        for name, method, definition, options, is_valid in rows
    ]


def settings_of(conn: psycopg.Connection[Any], index: Index) -> list[Setting]:
    session = dict(fetch(conn, queries.session_settings()))
    return [
        Setting(name, float(session[name]), float(index.options.get(name, 0))) for name in SETTINGS
    ]


def info_of(conn: psycopg.Connection[Any], index: Index) -> IndexInfo:
    return index_info(conn, index.name)


def parts_of(info: IndexInfo) -> list[tuple[str, int]]:
    """Return the parts of an index and their bytes; other is what is in none of them."""
    parts = [(part, getattr(info, f"{part}_bytes")) for part in PARTS]
    return [*parts, ("other", max(info.total_bytes - sum(size for _, size in parts), 0))]


def measure(
    conn: psycopg.Connection[Any],
    settings: Settings,
    index: Index,
    asked: Sequence[MultiVector],
    *,
    is_only: bool,
) -> Measured:
    """Measure an index by questions. is_only: no other index serves the same searches."""
    with conn.transaction():
        fetch(conn, queries.limits(settings.tune_timeout))
        present = [setting.in_effect for setting in settings_of(conn, index)]
        rows = tune(conn, index.name, asked, target_recall=settings.recall, k=settings.limit)
    trials = [trial for trial in rows if trial.partition is None]
    number = number_of(trials, present)
    points = [
        charts.Point(n, trial.ms, trial.recall, trial.chosen, n == number)
        for n, trial in enumerate(trials, 1)
    ]
    note = ""
    if number is None:
        point, note = _present(conn, settings, asked, len(trials) + 1, is_only=is_only)
        points += [] if point is None else [point]
        number = None if point is None else point.number
    return Measured(trials, points, number, note, len(asked), datetime.now(timezone.utc))


def number_of(trials: Sequence[Trial], present: Sequence[float]) -> int | None:
    """Return the number, from 1, of the trial with these settings."""
    for number, trial in enumerate(trials, 1):
        if [value or 0 for value in trial.options.values()] == list(present):
            return number
    return None


def _present(
    conn: psycopg.Connection[Any],
    settings: Settings,
    asked: Sequence[MultiVector],
    number: int,
    *,
    is_only: bool,
) -> tuple[charts.Point | None, str]:
    """Measure the present settings, which colbert_tune has not tried or found worse."""
    if not is_only:
        return None, f"{_NOT_TRIED} They were not measured: the table has another index."
    some = asked[:ASKED_BY_PAGE]
    try:
        found = index_recall(conn, settings.table, settings.columns.doc, some, settings.limit)
    except (ValueError, psycopg.errors.QueryCanceled):
        return None, f"{_NOT_TRIED} They could not be measured."
    note = (
        f"{_NOT_TRIED} The page measured them by {len(some)} questions; their time includes the "
        "connection."
    )
    return charts.Point(number, found.index_ms, found.recall, is_present=True), note
