"""Which words of a text, or which parts of an image, match a query: heat maps."""

from .image import ImageExplanation, ImageMatch, explain_image
from .text import Explanation, Match, Word, explain
from .words import printable

__all__ = [
    "Explanation",
    "ImageExplanation",
    "ImageMatch",
    "Match",
    "Word",
    "explain",
    "explain_image",
    "printable",
]
