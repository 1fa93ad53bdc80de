"""The package builds, and what is built has all of it."""

from __future__ import annotations

import os
import re
import resource
import shlex
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
UNREACHABLE = re.compile("connection|timed out|name resolution|proxy", re.IGNORECASE)


def test_wheel_and_sdist(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    paths = [path for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    files = {str(path.relative_to(SOURCE)) for path in paths}
    [wheel] = tmp_path.glob("colbert_pg-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert inside == files
    assert "colbert_pg/py.typed" in inside
    [sdist] = tmp_path.glob("colbert_pg-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "src/colbert_pg/py.typed"} <= names


@pytest.mark.skipif(not os.environ.get("COLBERT_EXTRA"), reason="it installs: make test-extra")
def test_the_quick_start_in_a_new_venv(tmp_path: Path, database: str) -> None:
    """The commands and the program of README.md, as a new user runs them, in a minute."""
    readme = (ROOT / "README.md").read_text()
    quick_start = readme.partition("## Quick start")[2].partition("\n## ")[0]
    venv, installed = tmp_path / "venv", re.findall("^pip (install .*)", quick_start, re.MULTILINE)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    assert len(installed) == 2
    for command in installed:
        done = subprocess.run(
            [venv / "bin/python", "-m", "pip", *shlex.split(command)],
            cwd=ROOT.parent.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        if UNREACHABLE.search(done.stderr):
            pytest.skip("PyPI cannot be reached")
        assert (done.returncode, command) == (0, command), done.stderr
    environment = {**os.environ, "PGDATABASE": database}
    environment.pop("PYTHONPATH", None)
    [code] = re.findall("```python\n(.*?)```", quick_start, re.DOTALL)
    search = ["search", "joint pain", "--table", "facts", "--encoder", "minilm"]
    for arguments in (
        [str(venv / "bin/python"), "-c", code],
        [str(venv / "bin/colbert-pg"), *search, "--metadata-column", "", "--id-type", "bigint"],
    ):
        before = cpu_seconds()
        shown = subprocess.run(
            arguments,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "Gout is treated" in shown.stdout
        assert cpu_seconds() - before < 60  # time on the clock is also that of other programs


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_core_needs_numpy_alone() -> None:
    """Importing the package imports no driver and no framework."""
    code = "import sys, colbert_pg, colbert_pg.encoders; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCE)},
        check=True,
        capture_output=True,
        text=True,
    )
    modules = set(done.stdout.split())
    assert "numpy" in modules
    assert not modules & {
        "psycopg",
        "psycopg2",
        "asyncpg",
        "pg8000",
        "sqlalchemy",
        "django",
        "tqdm",
        "ir_measures",
        "lightgbm",
        "sklearn",
        "onnxruntime",
        "tokenizers",
        "starlette",
        "jinja2",
        "uvicorn",
    }
