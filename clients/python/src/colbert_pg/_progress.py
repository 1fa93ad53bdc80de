"""Progress as a bar of tqdm, or as calls of a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Progress: TypeAlias = bool | Callable[[int, int | None], None]


def make_bar(total: int | None = None, unit: str = "it") -> Any:
    try:
        from tqdm import tqdm  # noqa: PLC0415
    except ImportError:
        raise ImportError(
            "progress=True needs tqdm: pip install 'colbert-pg[progress]', or pass a function"
        ) from None
    return tqdm(total=total, unit=unit)


@contextmanager
def shown(progress: Progress, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Return a function to call with the number of things done."""
    if progress is True:
        with make_bar(total, unit) as bar:
            yield lambda done: bar.update(done - bar.n)
    elif progress is False:
        yield lambda _done: None
    else:
        yield lambda done: progress(done, total)
