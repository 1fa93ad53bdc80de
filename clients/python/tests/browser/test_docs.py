"""The documentation as a site in a browser: test/run-browser builds it in SITE."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from browser.tabs import SIZE, Tab, shoot

SITE = os.environ["SITE"]


class Quiet(SimpleHTTPRequestHandler):
    """Serve files, and log nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Serve the site, and return its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def tab(browser: Any, site: str) -> Iterator[Tab]:
    tab = Tab(browser, site)
    yield tab
    tab.context.close()
    assert tab.errors == []
    assert all(url.startswith((site, "data:", "blob:")) for url in tab.loaded), "all is served here"


@pytest.mark.parametrize(
    "name", ["index", "doc/quick-start", "doc/trade-off", "doc/search-page", "doc/reference", "404"]
)
def test_a_page_loads_from_here(tab: Tab, name: str) -> None:
    """Scripts of the theme included; test/docs/site.py reads the other pages."""
    tab.page.goto(f"/{name}.html")
    assert tab.page.locator("h1").count() >= 1
    assert len(tab.loaded) > 3


def test_search(tab: Tab) -> None:
    page = tab.page
    page.goto("/index.html")
    page.get_by_role("textbox", name="Search").fill("near duplicates")
    page.locator(".md-search-result__item a", has_text="Near duplicates").first.click()
    page.wait_for_url("**/doc/thresholds.html**")
    assert page.get_by_role("heading", name="Near duplicates").is_visible()


def test_a_telephone(tab: Tab) -> None:
    tab.page.set_viewport_size({"width": 360, "height": 740})
    for name in ("index", "doc/querying", "doc/reference", "doc/options"):
        tab.page.goto(f"/{name}.html")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_pictures(tab: Tab) -> None:
    tab.page.set_viewport_size({**SIZE, "width": 1280})
    for path, name in (
        ("/doc/querying.html#weights-of-query-tokens", "docs-querying"),
        ("/doc/reference.html#maxsim", "docs-catalog"),
    ):
        tab.page.goto(path)
        tab.page.wait_for_load_state("networkidle")
        shoot(tab.page, name)
