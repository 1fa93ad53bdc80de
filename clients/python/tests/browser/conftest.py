"""A browser: test/run-browser names it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from browser.tabs import Tab
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ["CHROMIUM"],
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Tab]:
    """Open the page that the fixture address of a module serves."""
    tab = Tab(browser, address)
    yield tab
    tab.context.close()
    assert tab.errors == [], "the policy of the page forbids what it loads"
    assert all(url.startswith(address) for url in tab.loaded), "everything is served here"


@pytest.fixture
def axe(browser: Any, address: str) -> Iterator[Any]:
    """Return a function that makes a tab in which axe-core may run."""
    tabs: list[Tab] = []

    def make(**options: Any) -> Tab:
        tabs.append(Tab(browser, address, bypass_csp=True, **options))
        return tabs[-1]

    yield make
    for tab in tabs:
        tab.context.close()
