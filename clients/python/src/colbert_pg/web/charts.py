"""Pictures as SVG. Pure; colors and fonts are those of the style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_BAR_WIDTH, _BAR_HEIGHT, _GAP = 1000, 14, 3
_WIDTH, _HEIGHT = 720, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 20, 52
_RADIUS = 6
_SHARES = 5
_LOG_FROM = 8  # slowest over fastest


@dataclass(frozen=True)
class Segment:
    """A part of a bar. kind: the class of its color."""

    kind: str
    value: float


@dataclass(frozen=True)
class Point:
    """A setting of an index: its number in the table, its time and its recall."""

    number: int
    ms: float
    recall: float
    is_chosen: bool = False
    is_present: bool = False

    def __str__(self) -> str:
        marks = [", present"] * self.is_present + [", cheapest"] * self.is_chosen
        return f"setting {self.number}{''.join(marks)}: recall {self.recall:.3f}, {self.ms:.2f} ms"


def bar(segments: Sequence[Segment], total: float, label: str) -> Markup:
    """Return a bar of segments. total: the value of its whole width."""
    rects, at = Markup(), 0.0
    for segment in segments:
        # no scale for all: the reciprocal of a tiny total is infinite
        width = max(segment.value, 0) / total * _BAR_WIDTH if total > 0 else 0.0
        if width > 0:
            rects += Markup(
                '<rect class="part part-{}" x="{:.1f}" y="0" width="{:.1f}" height="{}"/>'
            ).format(segment.kind, at, max(width - _GAP, min(width, 1)), _BAR_HEIGHT)
        at += width
    return Markup(
        '<svg class="bar" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}"><rect class="rail" x="0" y="0" width="{}" height="{}"/>{}</svg>'
    ).format(_BAR_WIDTH, _BAR_HEIGHT, label, _BAR_WIDTH, _BAR_HEIGHT, rects)


def frontier(points: Sequence[Point], target: float) -> Markup:
    """Return the plot of recall by time. target: the recall that was asked for."""
    axes = _Axes(points, target)
    ordered = sorted(points, key=lambda point: (point.ms, point.recall))
    line = " ".join(f"{axes.x(p.ms):.1f},{axes.y(p.recall):.1f}" for p in _best(ordered))
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-labelledby="plot-title">'
        '<title id="plot-title">{}</title>{}'
        '<line class="target" x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}"/>'
        '<polyline class="frontier" points="{}"/>{}</svg>'
    ).format(
        _WIDTH,
        _HEIGHT,
        f"Recall by milliseconds of {len(points)} settings; " + "; ".join(map(str, ordered)),
        axes.grid(),
        _LEFT,
        axes.y(target),
        _WIDTH - _RIGHT,
        axes.y(target),
        line,
        Markup().join(_mark(axes, point, is_above=n % 2 == 1) for n, point in enumerate(ordered)),
    )


def ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers from low to high."""
    step = 10.0 ** math.floor(math.log10((high - low) / _SHARES))
    step *= next((m for m in (1, 2, 5) if (high - low) / (step * m) <= _SHARES + 1), 10)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first
    return [round((first + i) * step, 10) for i in range(count + 1)]


def powers(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten from low to high."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [float(f"{m}e{exponent}") for exponent in exponents for m in (1, 2, 5)]
    return [value for value in values if low <= value <= high]


class _Axes:
    """Places in the plot."""

    def __init__(self, points: Sequence[Point], target: float) -> None:
        times = [max(point.ms, 1e-3) for point in points]
        self._log = max(times) / min(times) >= _LOG_FROM
        self._low = min(times) / 1.25 if self._log else 0.0
        self._high = max(times) * (1.25 if self._log else 1.1)
        recalls = [target, *(point.recall for point in points)]
        self._floor = max(min(recalls) - 0.02, 0.0)
        self._ceiling = 1.0 + 0.1 * (1 - self._floor)

    def x(self, ms: float) -> float:
        if self._log:
            span = math.log(self._high / self._low)
            share = math.log(max(ms, self._low) / self._low) / span
        else:
            share = ms / self._high
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, recall: float) -> float:
        share = (recall - self._floor) / (self._ceiling - self._floor)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def grid(self) -> Markup:
        low, high = self._low, self._high
        bottom = _HEIGHT - _BOTTOM
        times = powers(low, high) if self._log else ticks(low, high)
        lines = [
            Markup(
                '<line class="grid" x1="{0:.1f}" y1="{1}" x2="{0:.1f}" y2="{2}"/>'
                '<text class="tick" x="{0:.1f}" y="{3}" text-anchor="middle">{4:g}</text>'
            ).format(self.x(ms), _TOP, bottom, bottom + 18, ms)
            for ms in times
        ]
        lines += [
            Markup(
                '<line class="grid" x1="{0}" y1="{1:.1f}" x2="{2}" y2="{1:.1f}"/>'
                '<text class="tick" x="{3}" y="{4:.1f}" text-anchor="end">{5:g}</text>'
            ).format(_LEFT, self.y(r), _WIDTH - _RIGHT, _LEFT - 8, self.y(r) + 4, r)
            for r in ticks(self._floor, 1.0)
        ]
        names = Markup(
            '<text class="axis" x="{}" y="{}" text-anchor="middle">milliseconds per search</text>'
            '<text class="axis" transform="translate(14 {}) rotate(-90)" text-anchor="middle">'
            "recall</text>"
        ).format((_LEFT + _WIDTH - _RIGHT) // 2, _HEIGHT - 10, (_TOP + bottom) // 2)
        return Markup().join(lines) + names


def _best(ordered: Sequence[Point]) -> list[Point]:
    """Return the points, ordered by time, that no faster one reaches in recall."""
    best: list[Point] = []
    for point in ordered:
        if not best or point.recall > best[-1].recall:
            best.append(point)
    return best


def _mark(axes: _Axes, point: Point, *, is_above: bool) -> Markup:
    """Return the mark of a setting: a diamond if it is the present one, a ring if the cheapest.

    is_above: the place of its number.
    """
    x, y = axes.x(point.ms), axes.y(point.recall)
    shapes = Markup('<circle class="point" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(
        x, y, _RADIUS - 2
    )
    if point.is_chosen:
        shapes += Markup('<circle class="cheapest" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(
            x, y, _RADIUS + 5
        )
    if point.is_present:
        r = _RADIUS + 1
        corners = f"{x:.1f},{y - r:.1f} {x + r:.1f},{y:.1f} {x:.1f},{y + r:.1f} {x - r:.1f},{y:.1f}"
        shapes += Markup('<polygon class="present" points="{}"/>').format(corners)
    words = " present" * point.is_present
    return shapes + Markup('<text class="mark" x="{:.1f}" y="{:.1f}">{}</text>').format(
        x + _RADIUS, y - 11 if is_above else y + 19, f"{point.number}{words}"
    )
