"""SQLAlchemy's URLs of a database, and Alembic on it."""

from __future__ import annotations

import os
from pathlib import Path

import alembic.command
import alembic.config
from sqlalchemy import Engine

ENV = """
from alembic import context
from sqlalchemy import create_engine
from {module} import {base}

engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as conn:
    context.configure(connection=conn, target_metadata={base}.metadata)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
"""
TEMPLATE = """
import colbert_pg.sqlalchemy
import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}

def upgrade():
    ${upgrades if upgrades else "pass"}

def downgrade():
    ${downgrades if downgrades else "pass"}
"""


def url(driver: str, database: str) -> str:
    key = "unix_sock" if driver == "pg8000" else "host"
    host = os.environ["PGHOST"] + ("/.s.PGSQL.5432" if driver == "pg8000" else "")
    return f"postgresql+{driver}://{os.environ['PGUSER']}@/{database}?{key}={host}"


def autogenerate(engine: Engine, module: str, base: str, folder: Path) -> tuple[str, str]:
    """Return the scripts for a database without tables, which it then has, and for one with them.

    module, base: where the class of the declarations is.
    """
    (folder / "versions").mkdir()
    (folder / "env.py").write_text(ENV.format(module=module, base=base))
    (folder / "script.py.mako").write_text(TEMPLATE)
    where = engine.url.render_as_string(hide_password=False)
    config = alembic.config.Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", where.replace("%", "%%"))
    scripts = []
    for revision in ("1", "2"):
        alembic.command.revision(config, "made", autogenerate=True, rev_id=revision)
        [script] = (folder / "versions").glob(f"{revision}_*.py")
        scripts.append(script.read_text())
        alembic.command.upgrade(config, "head")
    return scripts[0], scripts[1]
