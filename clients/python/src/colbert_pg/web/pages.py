"""The pages as HTML: templates that escape every value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from psycopg import sql
from starlette.responses import HTMLResponse

from ..admin import IndexInfo
from . import charts, heat
from .indexes import Measured, parts_of
from .queries import NAMES, SETTINGS, WAYS, Way, create_index, readable
from .searcher import STAGES, Answer, Column
from .settings import MAX_QUESTION, Settings

OTHER = "other"
PATTERNS = 8  # of underlines and hues: the ninth query word has those of the first
_COUNTS = (
    "documents",
    "tokens",
    "null_documents",
    "pending_documents",
    "dead_documents",
    "free_documents",
    "nodes",
    "tokens_per_node",
    "postings",
)
_DISTANCES = ("postings_per_node", "imbalance", "trained_distance", "merged_distance")
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


class Pages:
    """The templates, with what all of them need."""

    def __init__(self, settings: Settings) -> None:
        self._environment = Environment(
            loader=PackageLoader("colbert_pg.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            table=settings.statements().table_name.replace('"', ""),
            create_index=create_index(settings.statements()),
            max_question=MAX_QUESTION,
            note=settings.note,
            names=NAMES,
            pattern=pattern,
            number=number,
            percent=percent,
            chosen=chosen,
            size=size,
            statement=statement,
            stages=stages,
            stage_bar=stage_bar,
            meters=meters,
            names_of_settings=SETTINGS,
            facts=facts,
            parts=parts_of,
            parts_bar=parts_bar,
            plot=plot,
        )

    def response(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page. It is not kept by the browser: it has rows of the table."""
        page = self._environment.get_template(f"{name}.html").render(**values)
        return HTMLResponse(page, status, {"Cache-Control": "no-store"})


def choices(possible: Sequence[Way], chosen: Sequence[Way]) -> list[tuple[Way, bool, bool]]:
    """Return each ranking, whether the table has it, and whether it is chosen."""
    return [(way, way in possible, way in chosen) for way in WAYS]


def pattern(word: int) -> int:
    """Return the number of the pattern and hue of a query word, both from 1."""
    return (word - 1) % PATTERNS + 1


def number(value: float, digits: int = 3) -> str:
    return f"{value:,.{digits}f}"


def percent(value: float) -> str:
    return f"{value:.6g}%"


def chosen(value: float | None, otherwise: str = "automatic") -> str:
    """Return a setting. otherwise: for settings that are not set."""
    return f"{value:.10g}" if value else otherwise


def size(value: float) -> str:
    """Return bytes in the unit that gives one to three digits before the point."""
    unit = 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def statement(composed: sql.SQL | sql.Composed) -> str:
    return readable(composed)


def stages(column: Column) -> list[tuple[str, float]]:
    """Return the stages of a search and their milliseconds, and the time outside of the index."""
    outside = max(column.ms - sum(column.stages.values()), 0.0)
    return [*((stage, column.stages[stage]) for stage in STAGES if column.stages), (OTHER, outside)]


def stage_bar(column: Column, answer: Answer) -> Markup:
    """Return the stages as a bar, on the scale of the slowest ranking of the page."""
    parts = stages(column)
    label = "Milliseconds: " + ", ".join(f"{name} {ms:.2f}" for name, ms in parts)
    slowest = max(column.ms for column in answer.columns)
    return charts.bar([charts.Segment(name, ms) for name, ms in parts], slowest, label)


def meters(top: float) -> list[tuple[int, float]]:
    """Return the levels of shades, from 1, and the least similarity of each."""
    return [(level, share * top) for level, share in enumerate(heat.LEVELS, 1)]


def facts(info: IndexInfo) -> list[tuple[str, str]]:
    """Return what colbert_index_info says of an index, other than its bytes and the advice."""
    found = [("access method", info.access_method), ("quantizer", info.quantizer or "several")]
    found.append(("dims", str(info.dims or "several")))
    for name in _COUNTS:
        value = getattr(info, name)
        found.append((name.replace("_", " "), "several" if value is None else f"{value:,}"))
    for name in _DISTANCES:
        value = getattr(info, name)
        found.append((name.replace("_", " "), "none" if value is None else number(value)))
    return found


def parts_bar(info: IndexInfo) -> Markup:
    parts = parts_of(info)
    label = ", ".join(f"{name} {size(value)}" for name, value in parts)
    segments = [charts.Segment(name, value) for name, value in parts]
    return charts.bar(segments, info.total_bytes, label)


def plot(measured: Measured, target: float) -> Markup:
    return charts.frontier(measured.points, target)
