"""Django: migrations, models, searches and forms."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import numpy as np
import numpy.typing as npt
import psycopg
import pytest
from django.conf import settings
from django.core import serializers
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connections
from django.db.migrations.writer import MigrationWriter
from django.db.models import F
from django.forms import modelform_factory

from colbert_pg import MultiVector
from colbert_pg.django import (
    ColbertExtension,
    ColbertHnswIndex,
    ColbertIvfIndex,
    MaxSim,
    MaxSimCosine,
    MaxSimL2,
    MultiVectorField,
)

RANDOM = np.random.default_rng(6)
ALIASES = ("default", "bound")  # by literals in the statement, and by parameters of the server


@pytest.fixture(scope="module")
def migrations(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Configure Django, generate the migration of the models, and run it."""
    folder = tmp_path_factory.mktemp("django")
    (folder / "notes_migrations").mkdir()
    (folder / "notes_migrations" / "__init__.py").touch()
    sys.path.insert(0, str(folder))
    place = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": database,
        "HOST": os.environ["PGHOST"],
        "USER": os.environ["PGUSER"],
    }
    settings.configure(
        DATABASES={"default": place, "bound": {**place, "OPTIONS": {"server_side_binding": True}}},
        INSTALLED_APPS=["django.contrib.postgres", "notes_app"],
        MIGRATION_MODULES={"notes_app": "notes_migrations"},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    )
    django.setup()
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("DROP EXTENSION colbert_pg")
    call_command("makemigrations", "notes_app", verbosity=0)
    script = folder / "notes_migrations" / "0001_initial.py"
    text = script.read_text().replace(
        "operations = [",
        "operations = [\n        colbert_pg.django.ColbertExtension(),",
    )
    script.write_text(text)
    call_command("migrate", verbosity=0)
    yield folder / "notes_migrations"
    for alias in ALIASES:
        connections[alias].close()
    sys.path.remove(str(folder))


@pytest.fixture(params=ALIASES)
def notes(request: pytest.FixtureRequest, migrations: Path) -> Any:  # noqa: ARG001
    from notes_app.models import Note  # noqa: PLC0415

    manager = Note.objects.using(request.param)
    manager.all().delete()
    return manager


def tokens() -> npt.NDArray[np.float16]:
    return RANDOM.normal(size=(3, 4)).astype(np.float16)


def fill(notes: Any, count: int = 300) -> None:
    notes.bulk_create([notes.model(id=n, doc=tokens()) for n in range(1, count + 1)])


def test_the_migration(migrations: Path, database: str) -> None:
    text = (migrations / "0001_initial.py").read_text()
    assert (
        "colbert_pg.django.MultiVectorField(blank=True, dims=4, element='float2', null=True)"
        in text
    )
    call_command("makemigrations", "notes_app", check=True, dry_run=True, verbosity=0)
    with psycopg.connect(dbname=database) as conn:
        rows = conn.execute(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index "
            "WHERE indrelid = 'notes_app_note'::regclass AND NOT indisprimary"
        ).fetchall()
    ends = {definition.partition("USING ")[2] for (definition,) in rows}
    assert ends == {
        "colbert_hnsw (doc) WITH (m='8')",
        "colbert_ivf (doc multivector_cosine_ops) WITH (quantizer='bit', probes='20')",
        "colbert_hnsw (doc multivector_l2_ops) WITH (ef_search='40')",
    }


def test_there_and_back(notes: Any) -> None:
    array, value = tokens(), MultiVector(tokens(), "int8")
    notes.create(id=1, doc=array, other=value)
    notes.create(id=2, doc=array.tolist())
    first, second = notes.get(id=1), notes.get(id=2)
    assert (first.doc, first.other) == (MultiVector(array), value)
    assert (second.doc, second.other) == (MultiVector(array), None)
    notes.filter(id=2).update(doc="[[1,2,3,4]]", other=F("doc"))
    assert notes.get(id=2).doc == MultiVector([[1, 2, 3, 4]])
    assert notes.get(doc=array).id == 1
    assert not notes.filter(doc__isnull=True).exists()


@pytest.mark.parametrize(
    ("score", "sign", "index"),
    [
        (MaxSim, "-", "notes_doc"),
        (MaxSimCosine, "-", "notes_cosine"),
        (MaxSimL2, "", "notes_l2"),
    ],
)
def test_a_search_uses_the_index(notes: Any, score: Any, sign: str, index: str) -> None:
    fill(notes)
    with connections[notes.db].cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        for query in (tokens(), MultiVector(tokens()), tokens().tolist()):
            found = notes.annotate(score=score("doc", query)).order_by(sign + "score")
            assert f"Index Scan using {index}" in found[:5].explain()
            best = [note.score for note in found[:5]]
            assert best == sorted(best, reverse=sign == "-")
        cursor.execute("RESET enable_seqscan")


def test_a_score_of_two_fields_and_a_threshold(notes: Any) -> None:
    fill(notes, 5)
    notes.update(other=F("doc"))
    assert notes.annotate(score=MaxSim("doc", F("other"))).filter(score__gt=0).count() == 5
    assert notes.annotate(score=MaxSim("doc", "other")).filter(score__gt=1e6).count() == 0


def test_serialization(notes: Any) -> None:
    notes.create(id=1, doc=tokens())
    data = serializers.serialize("json", notes.all())
    [back] = serializers.deserialize("json", data)
    assert back.object.doc == notes.get(id=1).doc
    assert back.object.other is None


def test_a_form(notes: Any) -> None:
    form_class = modelform_factory(notes.model, fields=["doc", "other"])
    form = form_class({"doc": "[[1, 2, 3, 4]]", "other": ""})
    assert form.is_valid()
    assert form.cleaned_data == {"doc": MultiVector([[1, 2, 3, 4]]), "other": None}
    note = notes.model(doc=MultiVector([[1, 2, 3, 4]]))
    assert "[[1,2,3,4]]" in str(form_class(instance=note))
    same = form_class({"doc": "[[1,2,3,4]]"}, initial={"doc": MultiVector([[1, 2, 3, 4]])})
    assert not same.has_changed()
    assert form_class({"doc": "[[1"}, initial={"doc": None}).has_changed()
    wrong = form_class({"doc": "[[1, 2], [3]]"})
    assert not wrong.is_valid()
    assert "expected 2 dimensions" in str(wrong.errors)
    with pytest.raises(ValidationError, match="expected"):
        notes.model(doc="nonsense").full_clean()


def test_deconstruction() -> None:
    for index in (
        ColbertHnswIndex(fields=["doc"], name="i", **dict.fromkeys(ColbertHnswIndex.options, 7)),
        ColbertIvfIndex(fields=["doc"], name="i", **dict.fromkeys(ColbertIvfIndex.options, 7)),
    ):
        path, args, kwargs = index.deconstruct()
        assert path == f"colbert_pg.django.{type(index).__name__}"
        assert type(index)(*args, **kwargs) == index
        assert set(index.options) <= kwargs.keys()
    with pytest.raises(TypeError, match="lists"):
        ColbertHnswIndex(fields=["doc"], name="i", lists=3)
    with pytest.raises(ValueError, match="expected dims"):
        MultiVectorField(element="int8")
    path, imports = MigrationWriter.serialize(ColbertExtension())
    assert path.startswith("colbert_pg.django.ColbertExtension(")
    assert imports == {"import colbert_pg.django"}


def test_all_options_are_known(database: str) -> None:
    with psycopg.connect(dbname=database, autocommit=True) as conn:
        conn.execute("CREATE TABLE options (doc multivector(4))")
        for cls in (ColbertHnswIndex, ColbertIvfIndex):
            for name in cls.options:
                value = "sq4" if name == "quantizer" else "4"
                index = cls(fields=["doc"], name="i", **{name: value})
                conn.execute(
                    f"CREATE INDEX ON options USING {cls.suffix} (doc) "
                    f"WITH ({', '.join(index.get_with_params())})"
                )
