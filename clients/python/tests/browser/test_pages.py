"""Page images and their patches in a browser. test/run-browser starts these tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser.tabs import Tab, served, shoot


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served("--pages") as address:
        yield address


def box_of(element: Any) -> dict[str, float]:
    found: dict[str, float] = element.bounding_box()
    return found


def test_the_image_of_a_page(tab: Tab) -> None:
    page = tab.ask()
    image = page.locator(".sheet img").first
    image.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.sheet img').naturalWidth > 0")
    assert image.evaluate("element => [element.naturalWidth, element.naturalHeight]") == [896, 1120]
    assert "Childhood Brain Stem Glioma" in page.locator(".hit").first.inner_text()
    whole = box_of(image)
    for patch in page.locator(".hit").first.locator(".patch.m rect").all():
        box = box_of(patch)
        assert box["width"] == pytest.approx(whole["width"] / 32, rel=0.35), "and a frame around it"
        assert whole["x"] - 3 <= box["x"] <= whole["x"] + whole["width"]
        assert whole["y"] - 3 <= box["y"] <= whole["y"] + whole["height"]
    assert "no vision model" in page.locator(".about").inner_text()
    assert page.get_by_role("img", name="Page image of row").count() == 5


def test_pointing_at_a_word(tab: Tab) -> None:
    page = tab.ask()
    first = page.locator(".hit").first
    seen = first.locator(".patch").filter(visible=True)
    everything = seen.count()
    page.get_by_role("button", name="glioma").hover()
    lit = first.locator(".patch.lit")
    assert lit.count() == 1, "the best match"
    assert 1 < seen.count() < everything, "others fade, but for those near"
    assert lit.locator("text").inner_html() == lit.get_attribute("data-terms")
    assert "matched row" in page.locator(".live").inner_text()
    page.mouse.move(1, 1)
    assert seen.count() == everything


def test_keys(tab: Tab) -> None:
    page = tab.ask()
    page.get_by_role("button", name="brain").focus()
    assert page.locator(".patch.lit").count() == 5, "one of each page"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.locator(".patch.lit").count() == 5, "it is kept"
    page.keyboard.press("Escape")
    assert page.locator(".lit").count() == 0


def test_without_color(tab: Tab) -> None:
    """Each word of the question has its own number and frame."""
    page = tab.ask()
    marks = page.locator(".hit").first.locator(".patch.m")
    script = """all => all.map(element => {
        const style = getComputedStyle(element.querySelector("rect"));
        return `${style.strokeDasharray} ${style.strokeWidth}`;
    })"""
    frames = marks.evaluate_all(script)
    numbers = [mark.locator("text").inner_html() for mark in marks.all()]
    assert len(set(frames)) == len(set(numbers)) == len(numbers) == 5
    assert "none 0px" not in frames


def test_a_telephone(tab: Tab) -> None:
    tab.page.set_viewport_size({"width": 360, "height": 740})
    tab.ask()
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(axe: Any, scheme: str) -> None:
    tab = axe(color_scheme=scheme)
    page = tab.ask()
    for summary in page.locator("summary").all()[:12]:
        summary.click()
    assert tab.violations() == []


def test_the_picture(tab: Tab) -> None:
    page = tab.ask()
    page.set_viewport_size({"width": 1180, "height": 1180})
    page.wait_for_function("document.querySelector('.sheet img').naturalWidth > 0")
    assert page.locator(".patch").count() > 20
    shoot(page, "search-page-patches")
