"""A search page on a table: its answers word by word, their SQL, and the indexes behind them."""

from .app import create_app
from .images import Grid, PageImages
from .server import serve
from .settings import Settings

__all__ = ["Grid", "PageImages", "Settings", "create_app", "serve"]
