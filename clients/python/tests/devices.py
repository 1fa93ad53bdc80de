"""The devices that tests of colbert_pg.gpu run on. torch is tried where it is installed."""

from __future__ import annotations

import importlib.util

import pytest

NAMES = [
    "numpy",
    pytest.param(
        "cpu",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("torch") is None, reason="torch is not installed"
        ),
    ),
]
