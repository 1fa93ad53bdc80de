"""The examples of README.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
NUMBER = re.compile(r"\d+\.\d+")  # the last digit depends on the processor
README = (ROOT / "README.md").read_text()


def examples(marker: str) -> list[tuple[str, str]]:
    """Return the code and the output of the examples that follow a comment."""
    example = rf"<!-- {marker} -->\n```python\n(.*?)```(?:\n<!-- output -->\n```\n(.*?)```)?"
    return re.findall(example, README, re.DOTALL)


def run_example(database: str, code: str, output: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PGDATABASE": database, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    if output:
        assert NUMBER.sub("N", done.stdout) == NUMBER.sub("N", output)
