"""The examples of README.md that need a framework."""

from __future__ import annotations

import pytest
from readme import examples, run_example

EXAMPLES = examples("example: frameworks")


@pytest.mark.parametrize(("code", "output"), EXAMPLES, ids=range(1, len(EXAMPLES) + 1))
def test_example(database: str, code: str, output: str) -> None:
    run_example(database, code, output)
