"""CREATE EXTENSION in a migration."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.operations import CreateExtension


class ColbertExtension(CreateExtension):
    """Create the extension colbert_pg, before a migration that needs it."""

    def __init__(self, **options: Any) -> None:
        super().__init__("colbert_pg", **options)
