"""Page images: the kinds that are served, and the patches that matched. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..explain.words import Words
from . import heat
from .queries import MAX_SHADED

MAX_BYTES = 16 * 1024 * 1024  # of an image
MAGIC_BYTES = 12  # bytes at the start of an image that tell its kind

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Grid:
    """The patches of a page, line by line from the top left, and the tokens around them.

    before, after: tokens of a row's multivector that are no patches, such as those of a prompt.
    """

    rows: int
    columns: int
    before: int = 0
    after: int = 0

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 1 or min(self.before, self.after) < 0:
            raise ValueError(f"expected a grid of at least 1 x 1, not {self}")
        if self.tokens > MAX_SHADED:
            raise ValueError(f"expected at most {MAX_SHADED} tokens per page, not {self.tokens}")

    def __str__(self) -> str:
        return f"{self.rows} x {self.columns}, with {self.before},{self.after} more tokens"

    @property
    def patches(self) -> int:
        return self.rows * self.columns

    @property
    def tokens(self) -> int:
        return self.before + self.patches + self.after

    def of_row(self) -> list[int]:
        """Return the number of the patch of each token, from 0, or -1 if it is none."""
        return [*[-1] * self.before, *range(self.patches), *[-1] * self.after]

    def name(self, patch: int) -> str:
        """Return the place of a patch in words, empty if the number is -1."""
        if patch < 0:
            return ""
        row, column = divmod(patch, self.columns)
        return f"row {row + 1}, column {column + 1}"


@dataclass(frozen=True)
class PageImages:
    """Where the page images of a table are. column: of type bytea."""

    column: str
    grid: Grid


@dataclass(frozen=True)
class Facts:
    """The size and the first bytes of a row's image. size: None if the image is NULL."""

    size: int | None
    start: bytes


@dataclass(frozen=True)
class Patch:
    """A patch that matched. left, top, width, height: in percent of the image.

    query, level, terms: as those of a Piece.
    """

    name: str
    left: float
    top: float
    width: float
    height: float
    query: int
    level: int
    terms: tuple[int, ...]


@dataclass(frozen=True)
class Sheet:
    """A page image, with the patches that matched."""

    patches: tuple[Patch, ...] = ()
    pairs: tuple[heat.Pair, ...] = ()


def kind_of(start: bytes) -> str | None:
    """Return the media type of an image by its first bytes, None if it is not served.

    SVG is not served, because it can hold scripts.
    """
    if start.startswith(_PNG):
        return "image/png"
    if start.startswith(_JPEG):
        return "image/jpeg"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    return None


def refusal(facts: Facts | None) -> str:
    """Return why an image is not shown, empty if it is."""
    if facts is None or facts.size is None:
        return "The row has no image."
    if facts.size > MAX_BYTES:
        return f"The image has {facts.size:,} bytes, and at most {MAX_BYTES:,} are shown."
    if kind_of(facts.start) is None:
        return "The image is neither PNG, JPEG nor WebP."
    return ""


def shade(grid: Grid, query: Words, matches: heat.Matches, top: float) -> Sheet:
    """Shade the patches of a page. top: the best similarity of the search page."""
    if len(matches.best) != grid.tokens:
        raise heat.MismatchError(
            f"The row has {len(matches.best):,} tokens, but the grid has {grid.patches:,} patches "
            f"and {grid.before + grid.after:,} more tokens: its patches cannot be shaded."
        )
    of_row = grid.of_row()
    pairs = tuple(heat.pairs_of(of_row, grid.name, query, matches))
    return Sheet(tuple(_patches(grid, of_row, query, matches, top)), pairs)


def _patches(
    grid: Grid, of_row: list[int], query: Words, matches: heat.Matches, top: float
) -> Iterator[Patch]:
    terms = heat.terms_of(of_row, query, matches)
    best = heat.best_of(of_row, query, matches)
    blank = Patch("", 0, 0, 100 / grid.columns, 100 / grid.rows, 0, 0, ())
    for number in range(grid.patches):
        word, similarity = best.get(number, (0, 0.0))
        level = heat.level_of(similarity, top)
        if level or number in terms:
            row, column = divmod(number, grid.columns)
            yield replace(
                blank,
                name=grid.name(number),
                left=column * blank.width,
                top=row * blank.height,
                query=word if level else 0,
                level=level,
                terms=tuple(sorted(terms.get(number, ()))),
            )
