"""Tabs of a browser, and pictures of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parents[4]
AXE = Path(os.environ["AXE"]).read_text(encoding="utf-8")
SHOTS = os.environ.get("SCREENSHOTS")
QUESTION = "what causes childhood brain stem glioma ?"
SIZE = {"width": 1180, "height": 860}
SERIOUS = ("serious", "critical")
SECONDS = 1000


@contextmanager
def served(*options: str) -> Iterator[str]:
    """Serve the demo, unless ADDRESS names one that is served already, and return its address."""
    if "ADDRESS" in os.environ:
        yield os.environ["ADDRESS"]
        return
    process = subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "tools" / "demo_web.py"), *options, "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            found = re.match(r"Serving on (http://127\.0\.0\.1:\d+)/ ", line)
            if found:
                yield found[1]
                break
        else:
            pytest.fail("the demo has not begun to serve")
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[0]
    assert (process.returncode, rest) == (0, "Stopped.\n")


class Tab:
    """A tab of the browser, with what its console says and what it loads."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(
            base_url=address, **{"viewport": SIZE, "color_scheme": "light", **options}
        )
        self.context.set_default_timeout(60 * SECONDS)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.loaded: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.loaded.append(request.url))

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def ask(self, question: str = QUESTION, *ways: str) -> Any:
        query = "".join(f"&by={way}" for way in ways)
        self.page.goto(f"/?q={question.replace(' ', '+').replace('?', '%3F')}{query}")
        return self.page

    def violations(self) -> list[str]:
        """Return the serious violations that axe-core finds."""
        self.page.evaluate(AXE)
        found = self.page.evaluate("() => axe.run()")
        assert len(found["passes"]) > 10
        return [
            f"{violation['id']}: {node['target']} {node['failureSummary']}"
            for violation in found["violations"]
            if violation["impact"] in SERIOUS
            for node in violation["nodes"]
        ]


def shoot(page: Any, name: str) -> None:
    """Keep a picture of a page, in 256 colors, if that is asked for."""
    if SHOTS:
        path = Path(SHOTS, f"{name}.png")
        page.screenshot(path=path)
        with Image.open(path) as image:
            few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(path, optimize=True)
