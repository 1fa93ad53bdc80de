"""Cut a text into overlapping chunks. Spans are in characters."""

from __future__ import annotations

import math
import re

from ..encoders import Span

_SPACE = re.compile(r"\s+")
# Where to cut, best first: between paragraphs, between sentences, between words.
_BREAKS = (re.compile(r"\n\s*\n"), re.compile(r"(?<=[.!?。？！])\s+|\n"), _SPACE)  # noqa: RUF001
_LATE = 0.6  # the share of a chunk after which it may end between paragraphs or sentences
_SLACK = 1.25  # a chunk may be longer than the average by this factor
_MARGIN = 0.95  # the share of the window that a chunk aims at


def cut(text: str, size: int, overlap: int) -> list[Span]:
    """Return the spans of chunks of at most size characters and about equal length.

    overlap: maximum characters that a chunk repeats of the one before; it begins with a word if it
    can. All characters but white space are in a chunk, and no chunk is only white space.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"expected an overlap of 0 to {size - 1} characters, not {overlap}")
    spans: list[Span] = []
    start, last = _trimmed(text, 0, len(text))
    while start < last:
        length = _length(last - start, size, overlap)
        end = last if start + length >= last else _end(text, start, start + length)
        spans.append(_trimmed(text, start, end))
        if end >= last:
            break
        start, _ = _trimmed(text, _next_start(text, start, end, overlap), last)
    return spans


def split(text: str, span: Span, tokens: int, window: int, overlap: int) -> list[Span]:
    """Return smaller spans in the place of one with more tokens than a window has."""
    start, end = span
    length = end - start
    size = max(1, min(int(length * window * _MARGIN / tokens), length - 1))
    smaller = cut(text[start:end], size, min(overlap, size // 2))
    return [(start + first, start + last) for first, last in smaller]


def _trimmed(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _length(rest: int, size: int, overlap: int) -> int:
    """Return the maximum length of the next chunk, so that the last one is not much shorter."""
    if rest <= size:
        return rest
    chunks = math.ceil((rest - overlap) / (size - overlap))
    average = (rest + (chunks - 1) * overlap) / chunks
    return min(size, math.ceil(average * _SLACK))


def _end(text: str, start: int, limit: int) -> int:
    """Return where to end a chunk, at the latest at limit."""
    late = start + max(1, int((limit - start) * _LATE))
    for pattern, first in zip(_BREAKS, (late, late, start + 1), strict=True):
        ends = [match.start() for match in pattern.finditer(text, first, limit + 1)]
        if ends:
            return ends[-1]
    return limit


def _next_start(text: str, start: int, end: int, overlap: int) -> int:
    """Return the first start of a word within the overlap; within a long word, any character."""
    earliest = max(end - overlap, start + 1)
    if earliest >= end or text[earliest - 1].isspace():
        return min(earliest, end)
    space = _SPACE.search(text, earliest, end)
    if space:
        return space.end()
    return end if _SPACE.search(text, start, end) else earliest
