"""Settings of hypothesis; fixtures of the server that PGHOST names."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("quick", max_examples=60, deadline=None, database=None)
settings.register_profile("long", max_examples=1000, deadline=None, database=None)
settings.load_profile("long" if os.environ.get("COLBERT_EXTRA") else "quick")
