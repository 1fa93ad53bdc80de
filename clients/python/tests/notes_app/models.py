"""Models for the tests of Django."""

from __future__ import annotations

from typing import Any

from django.db import models

from colbert_pg.django import ColbertHnswIndex, ColbertIvfIndex, MultiVectorField


class Note(models.Model):
    objects: Any = models.Manager()
    doc = MultiVectorField(dims=4, element="float2", null=True, blank=True)
    other = MultiVectorField(null=True, blank=True)

    class Meta:
        indexes = (
            ColbertHnswIndex(
                name="notes_doc", fields=["doc"], opclasses=["multivector_maxsim_ops"], m=8
            ),
            ColbertIvfIndex(
                name="notes_cosine",
                fields=["doc"],
                opclasses=["multivector_cosine_ops"],
                quantizer="bit",
                probes=20,
            ),
            ColbertHnswIndex(
                name="notes_l2", fields=["doc"], opclasses=["multivector_l2_ops"], ef_search=40
            ),
        )
