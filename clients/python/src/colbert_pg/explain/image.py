"""Which parts of an image, such as a page, match a query: heat maps over it, as SVG and HTML."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..encoders.protocol import Box, ImageEncoder
from ..multivector import MultiVector
from .words import HEAT_COLOR, Words, match, printable, rows_of

MAX_PATCHES = 65_536  # each is an element of the SVG

Heat: TypeAlias = npt.NDArray[np.float64]

_LEVELS = 16  # of heat
_OPACITY = 0.75  # of the hottest patch
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_SCHEMES = re.compile(r"https?:|data:image/", re.IGNORECASE)
_SPACES = re.compile(r"[\x00-\x20\x7f-\x9f]")


@dataclass(frozen=True)
class ImageMatch:
    """A word of the query, the box of the patch that is most similar, and what it adds.

    The word is empty if its row stands for no part of the query. The box is None if its row stands
    for no part of the image.
    """

    query: str
    box: Box | None
    score: float


@dataclass(frozen=True, eq=False)
class ImageWord:
    """A word of the query, what it adds to the score, and its similarity to each patch."""

    text: str
    score: float
    heat: Heat = field(repr=False)


@dataclass(frozen=True, eq=False)
class ImageExplanation:
    """A MaxSim score of an image. score is the sum over matches.

    words: those of the query. boxes: those of the patches. size: the width and height of the image.
    """

    image: Any = field(repr=False)
    size: tuple[int, int]
    score: float
    words: tuple[ImageWord, ...]
    boxes: tuple[Box, ...] = field(repr=False)
    matches: tuple[ImageMatch, ...]

    def __str__(self) -> str:
        """Return a line per match; a place is in percent of the width and height."""
        return "\n".join(
            f"{match.score:6.3f}  {printable(match.query)} -> {_place(match.box)}"
            for match in self.matches
        )

    def to_svg(self, word: int | None = None, *, href: str | None = None) -> str:
        """Return the image with a heat map over it.

        word: a number of words, from 0; by default the sum over all words.
        href: the URL of the image, of http, https or data:image/, or a path; by default the image,
        which must be one of PIL, is part of the SVG.
        """
        return self._svg(word, f'<image href="{self._href(href)}"{self._extent()}/>')

    def to_html(self, *, href: str | None = None) -> str:
        """Return a div with the heat map of the query, and that of each word under it."""
        url = self._href(href)
        name = f"colbert-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
        picture = f'<image id="{name}" href="{url}"{self._extent()}/>'
        use = f'<use href="#{name}"/>'
        words = "".join(
            f"<details><summary>{_escaped(word.text)} <small>{word.score:.3f}</small></summary>"
            f"{self._svg(number, use)}</details>"
            for number, word in enumerate(self.words)
        )
        return (
            '<div class="colbert-explanation" style="display:flex;gap:1em">'
            f'<div style="flex:1">{self._svg(None, picture)}</div>'
            f'<div style="flex:1">{words}</div></div>'
        )

    def _repr_html_(self) -> str:
        return self.to_html()

    def _svg(self, word: int | None, picture: str) -> str:
        if word is not None and not 0 <= word < len(self.words):
            raise ValueError(f"expected word of 0 to {len(self.words) - 1}, not {word}")
        shown = self.words if word is None else self.words[word : word + 1]
        score = self.score if word is None else shown[0].score
        title = " ".join([*(word.text for word in shown), f"{score:.3f}"])
        heat = sum((word.heat for word in shown), np.zeros(len(self.boxes)))
        rectangles = "".join(self._rectangles(heat))
        width, height = self.size
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            f'style="width:100%"><title>{_escaped(title)}</title>{picture}'
            f'<g fill="rgb({HEAT_COLOR})">{rectangles}</g></svg>'
        )

    def _rectangles(self, heat: Heat) -> Iterator[str]:
        width, height = self.size
        for box, level in zip(self.boxes, _levels(heat), strict=True):
            if level > 0:
                left, top, right, bottom = box
                yield (
                    f'<rect x="{left * width:.6g}" y="{top * height:.6g}" '
                    f'width="{(right - left) * width:.6g}" '
                    f'height="{(bottom - top) * height:.6g}" '
                    f'fill-opacity="{_OPACITY * level / _LEVELS:.3g}"/>'
                )

    def _extent(self) -> str:
        width, height = self.size
        return f' width="{width}" height="{height}" preserveAspectRatio="none"'

    def _href(self, href: str | None) -> str:
        """Return the URL of the image, escaped. It can name no script."""
        if href is None:
            if not hasattr(self.image, "save"):
                raise ValueError("expected href, or an image of PIL")
            data = io.BytesIO()
            self.image.save(data, "PNG")
            href = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
        bare = _SPACES.sub("", href)  # browsers ignore some of them
        if _SCHEME.match(bare) and not _SCHEMES.match(bare):
            raise ValueError(f"expected a URL of http, https or data:image/, not {href[:40]!r}")
        return _escaped(href)


def explain_image(
    encoder: ImageEncoder,
    query: str,
    image: Any,
    doc: MultiVector | npt.ArrayLike | None = None,
) -> ImageExplanation:
    """Explain the score maxsim(doc, query) of an image.

    doc: the multivector of the image, such as from the database; by default the image is encoded.
    """
    queries = rows_of(encoder.encode_query(query))
    docs = rows_of(encoder.encode_image(image) if doc is None else doc)
    boxes = encoder.boxes(image)
    if len(boxes) != len(docs):
        raise ValueError(f"expected a multivector of {len(boxes)} tokens, not {len(docs)}")
    words = Words(query, encoder.spans(query, query=True), len(queries))
    patches = [row for row, box in enumerate(boxes) if _is_part(box)]
    if len(patches) > MAX_PATCHES:
        raise ValueError(f"expected at most {MAX_PATCHES} patches, not {len(patches)}")
    patch_of_row = [-1] * len(docs)
    for patch, row in enumerate(patches):
        patch_of_row[row] = patch
    similarities, pairs = match(queries, docs, words.of_row, patch_of_row)
    scores = np.zeros(len(words.spans))
    heat = np.zeros((len(words.spans), len(patches)))
    for (word, _), score in pairs.items():
        if word >= 0:
            scores[word] += score
    for row, word in enumerate(words.of_row):
        if word >= 0:
            heat[word] += similarities[row, patches]
    return ImageExplanation(
        image,
        _size(image),
        sum(pairs.values()),
        tuple(
            ImageWord(words[word], float(score), heat[word]) for word, score in enumerate(scores)
        ),
        tuple(boxes[row] for row in patches),
        tuple(
            ImageMatch(words[word], None if patch < 0 else boxes[patches[patch]], score)
            for (word, patch), score in pairs.items()
        ),
    )


def _size(image: Any) -> tuple[int, int]:
    width, height = (int(length) for length in image.size)
    if width < 1 or height < 1:
        raise ValueError(f"expected an image of at least 1 x 1, not {width} x {height}")
    return width, height


def _is_part(box: Box) -> bool:
    """Return whether a box is not empty."""
    left, top, right, bottom = box
    if not any(box):
        return False
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(f"expected a box of left, top, right and bottom from 0 to 1, not {box}")
    return True


def _levels(heat: Heat) -> npt.NDArray[np.int64]:
    """Return the levels of patches, from 0, the coolest, to _LEVELS, the hottest."""
    if heat.size == 0 or heat.max() == heat.min():
        return np.zeros(heat.shape, np.int64)
    share = (heat - heat.min()) / (heat.max() - heat.min())
    return np.asarray(np.rint(share * _LEVELS), np.int64)


def _place(box: Box | None) -> str:
    """Return where a box is, in percent of the width and the height."""
    if box is None:
        return ""
    left, top, right, bottom = box
    return f"{left:.0%}-{right:.0%} x {top:.0%}-{bottom:.0%}"


def _escaped(text: str) -> str:
    return html.escape(printable(text))
