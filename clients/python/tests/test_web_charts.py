"""Bars and plots as SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colbert_pg.web.charts import Point, Segment, bar, frontier, powers, ticks

SVG = "{http://www.w3.org/2000/svg}"
TIMES = st.floats(0, 1e6)
POINTS = st.lists(
    st.builds(Point, st.integers(1, 99), TIMES, st.floats(0, 1), st.booleans(), st.booleans()),
    min_size=1,
    max_size=12,
)


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def test_a_bar() -> None:
    svg = bar([Segment("find", 1), Segment("gather", 0), Segment("exact", 3)], 8, 'a "b" <c>')
    root = parsed(svg)
    assert root.get("aria-label") == 'a "b" <c>'
    parts = [rect for rect in root if "part" in rect.get("class", "")]
    assert [rect.get("class") for rect in parts] == ["part part-find", "part part-exact"]
    assert [float(rect.get("x", 0)) for rect in parts] == [0, 125]
    assert [float(rect.get("width", 0)) for rect in parts] == [122, 372]
    assert len(parsed(bar([Segment("find", 0)], 0, ""))) == 1
    tiny = parsed(bar([Segment("find", 5e-324)], 5e-324, ""))
    assert float(tiny[1].get("width", 0)) == 997


@given(st.lists(st.builds(Segment, st.just("find"), TIMES), max_size=8))
def test_bars_stay_inside(segments: list[Segment]) -> None:
    total = sum(segment.value for segment in segments)
    for rect in parsed(bar(segments, total, "")):
        assert 0 <= float(rect.get("x", 0)) <= 1000
        assert 0 <= float(rect.get("width", 0)) <= 1000.1


def test_a_frontier() -> None:
    points = [
        Point(1, 2.3, 0.976, is_present=True),
        Point(2, 0.65, 0.745),
        Point(3, 1.36, 0.95, is_chosen=True),
        Point(4, 1.5, 0.9),
    ]
    svg = frontier(points, 0.95)
    root = parsed(svg)
    assert len(root.findall(f"{SVG}circle[@class='point']")) == 4
    assert len(root.findall(f"{SVG}circle[@class='cheapest']")) == 1
    [diamond] = root.findall(f"{SVG}polygon")
    [line] = root.findall(f"{SVG}polyline")
    assert line.get("points", "").count(",") == 3, "the setting that another beats is beside it"
    marks = [mark.text for mark in root.findall(f"{SVG}text[@class='mark']")]
    assert marks == ["2", "3", "4", "1 present"]
    title = root.findtext(f"{SVG}title", "")
    assert "setting 1, present: recall 0.976, 2.30 ms" in title
    assert "setting 3, cheapest: recall 0.950, 1.36 ms" in title
    right = float(diamond.get("points", "").split(",")[0])
    xs = [float(c.get("cx", 0)) for c in root.findall(f"{SVG}circle[@class='point']")]
    assert right == max(xs), "the slowest is the present one"


@given(POINTS, st.floats(0.01, 1))
def test_marks_stay_inside(points: list[Point], target: float) -> None:
    svg = frontier(points, target)
    assert "nan" not in svg
    numbers = re.findall(r'c([xy])="([^"]+)"', svg)
    assert len(numbers) >= 2 * len(points)
    for axis, value in numbers:
        assert -1 <= float(value) <= (721 if axis == "x" else 381)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0.72, 1, [0.75, 0.8, 0.85, 0.9, 0.95, 1.0]),
        (0.93, 1, [0.94, 0.96, 0.98, 1.0]),
    ],
)
def test_ticks(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_powers() -> None:
    assert powers(0.4, 30) == [0.5, 1, 2, 5, 10, 20]
