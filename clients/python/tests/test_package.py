"""The package builds, and what is built has all of it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"


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
        "onnxruntime",
        "tokenizers",
    }
