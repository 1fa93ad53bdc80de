"""The search page on MedQuAD in a browser, as people use it: with a mouse, with keys, in the dark.

test/run-browser starts these tests, with chromium and axe-core.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from browser.tabs import QUESTION, SECONDS, SIZE, Tab, served, shoot

SHOWN = "how is gout treated?"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served() as address:
        yield address


def test_a_question(tab: Tab) -> None:
    page = tab.page
    page.goto("/")
    page.get_by_role("searchbox", name="Question").fill(QUESTION)
    page.keyboard.press("Enter")
    page.wait_for_url("**q=what+causes**")
    first = page.locator(".hit").first
    assert "glioma" in first.locator(".passage").first.inner_text().lower()
    assert first.locator(".w.m").count() >= 3
    word = first.locator(".w.l4").first
    shade = word.evaluate("element => getComputedStyle(element).backgroundColor")
    assert shade not in ("rgba(0, 0, 0, 0)", "transparent")
    assert page.get_by_role("button", name="glioma").count() == 1
    styles = page.locator("button.word .t").evaluate_all(
        "all => all.map(element => getComputedStyle(element).textDecorationStyle)"
    )
    assert len(set(styles)) == len(styles) == 5, "each word has an underline of its own"


def test_an_example_is_a_question(tab: Tab) -> None:
    tab.page.goto("/")
    tab.page.get_by_role("link", name="anal cancer").click()
    assert tab.page.locator(".hit").count() == 10


def test_pointing_at_a_word(tab: Tab) -> None:
    page = tab.ask()
    assert page.locator(".lit").count() == 0
    page.get_by_role("button", name="glioma").hover()
    hits = page.locator(".hit")
    lit = page.locator(".hit .lit")
    assert lit.count() == hits.count() == 10, "one word of each answer"
    texts = [text.lower() for text in lit.all_inner_texts()]
    assert sum(text.startswith("glioma") for text in texts) >= 5
    assert page.locator(".hit .lit-near").count() > 0
    assert "“glioma” matched glioma" in page.locator(".live").inner_text()
    page.mouse.move(1, 1)
    assert page.locator(".lit").count() == 0


def test_keys(tab: Tab) -> None:
    page = tab.ask()
    page.get_by_role("checkbox", name="Two stages").focus()
    for _ in range(5):
        page.keyboard.press("Tab")
    word = page.locator("button.word:focus")
    assert word.locator(".t").inner_text() == "glioma"
    assert page.locator(".hit .lit").count() == 10, "focus lights, too"
    page.keyboard.press("Enter")
    assert word.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Tab")
    assert page.locator(".hit .lit").count() == 10, "it is kept"
    page.keyboard.press("Escape")
    assert page.locator(".lit").count() == 0
    assert page.locator("[aria-pressed=true]").count() == 0
    page.goto("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main", "the link that skips"


def test_rankings_side_by_side(tab: Tab) -> None:
    page = tab.ask()
    page.set_viewport_size({"width": 1400, "height": 900})
    for name in ("BM25F", "Hybrid", "Two stages"):
        page.get_by_role("checkbox", name=name).check()
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**by=ranker**")
    columns = page.locator("section.column")
    assert columns.locator("h2").all_inner_texts() == ["MaxSim", "BM25F", "Hybrid", "Two stages"]
    boxes = [columns.nth(n).bounding_box() for n in range(4)]
    assert boxes[0]["x"] < boxes[1]["x"] < boxes[2]["x"] < boxes[3]["x"]
    assert len({box["y"] for box in boxes}) == 1
    page.get_by_text("SQL and stages").first.click()
    assert "maxsim(" in page.locator("pre").first.inner_text()
    assert page.locator(".bar").first.get_attribute("aria-label").startswith("Milliseconds: find")


def test_an_index(tab: Tab) -> None:
    page = tab.page
    page.goto("/")
    page.get_by_role("link", name="Indexes").click()
    page.get_by_role("link", name="passages_doc_idx").click()
    assert "16,373" in page.locator("dl").inner_text()
    tab.context.set_default_timeout(600 * SECONDS)  # a measurement takes a minute, if not more
    page.get_by_role("button", name="Measure").click()
    page.wait_for_selector(".plot")
    assert page.locator(".plot .present").count() == 1
    assert page.locator(".trials tbody tr").count() >= 3
    assert re.search(r"present: recall 0\.9\d\d", page.locator(".plot title").text_content())
    page.evaluate("scrollTo(0, 0)")
    page.set_viewport_size({"width": SIZE["width"], "height": 1320})
    shoot(page, "search-page-index")


def test_without_scripts(browser: Any, address: str) -> None:
    tab = Tab(browser, address, java_script_enabled=False)
    page = tab.ask()
    assert page.locator(".hit").count() == 10
    assert page.locator(".w.m.l4").count() > 5
    tab.context.close()


def test_a_telephone(tab: Tab) -> None:
    tab.page.set_viewport_size({"width": 360, "height": 740})
    for path in ("/", f"/?q={QUESTION[:-2]}&by=maxsim&by=text", "/indexes/passages_doc_idx"):
        tab.page.goto(path)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_pictures(tab: Tab, axe: Any) -> None:
    """Light and dark: the colors of the page follow the system's."""
    page = tab.ask()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_text("Legend").click()
    shoot(page, "search-page")
    dark = axe(color_scheme="dark")
    page = dark.ask(SHOWN, "maxsim", "text", "ranker")
    page.get_by_role("button", name="gout").hover()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    shoot(page, "search-page-dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        f"/?q={QUESTION[:-2]}&by=maxsim&by=text&by=hybrid",
        "/?q=...%00",
        "/indexes",
        "/indexes/passages_doc_idx",
    ],
)
def test_nobody_is_kept_out(axe: Any, scheme: str, path: str) -> None:
    tab = axe(color_scheme=scheme)
    tab.page.goto(path)
    for summary in tab.page.locator("summary").all()[:12]:
        summary.click()
    assert tab.violations() == []
