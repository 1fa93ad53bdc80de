"""The examples of README.md that need more than the suite docs has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).parent.parent
NUMBER = re.compile(r"\d+\.\d+")  # the last digit depends on the processor


def examples(marker: str) -> list[tuple[str, str]]:
    """Return the code and the output of the examples that follow a comment."""
    example = rf"<!-- {marker} -->\n```python\n(.*?)```(?:\n<!-- output -->\n```\n(.*?)```)?"
    return re.findall(example, (ROOT / "README.md").read_text(), re.DOTALL)


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


EXAMPLES = examples("example")


@pytest.mark.parametrize(("code", "output"), EXAMPLES, ids=range(1, len(EXAMPLES) + 1))
def test_example(database: str, code: str, output: str) -> None:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("""
            DROP TABLE IF EXISTS items;
            CREATE TABLE items (id bigint PRIMARY KEY, doc multivector(3));
            INSERT INTO items VALUES (1, '[[1,2,3]]')
        """)
    run_example(database, code, output)
