"""Encoders of page images: shared code, and colpali-engine."""

from __future__ import annotations

import contextlib
import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..multivector import MultiVector
from .protocol import NOWHERE, Box, BoxesUnknownError, Span, SpansUnknownError, TextEncoder

NO_BOX: Box = (0, 0, 0, 0)

_AUGMENTATION = 10  # query_augmentation_tokens that process_queries puts after each query


class PageEncoder(ABC):
    """encode_image of a method for a list."""

    def encode_image(self, images: Any) -> Any:
        """Encode an image as a MultiVector, or a list or tuple of images as a list of them."""
        if isinstance(images, (list, tuple)):
            return self._encode_images(list(images)) if images else []
        [only] = self._encode_images([images])
        return only

    @abstractmethod
    def boxes(self, image: Any) -> list[Box]:
        """Return the left, top, right and bottom of each row, from 0 to 1."""

    @abstractmethod
    def _encode_images(self, images: list[Any]) -> list[MultiVector]:
        """Encode a list of images."""


class ColPaliEncoder(PageEncoder, TextEncoder):
    """Encodes page images, and texts, by a model and a processor of colpali-engine.

    batch_size: maximum images or texts per run of the model.
    """

    def __init__(self, model: Any, processor: Any, *, batch_size: int = 4) -> None:
        if batch_size < 1:
            raise ValueError(f"expected batch_size of at least 1, not {batch_size}")
        self.model = model
        self.processor = processor
        self._batch_size = batch_size

    @property
    def dims(self) -> int:
        """The number of dimensions of a token."""
        return int(self.model.dim)

    def encode(self, texts: list[str], *, query: bool) -> list[MultiVector]:
        """Encode texts as queries, or as documents."""
        return [
            multivector
            for batch in self._batches(texts)
            for multivector in self._run(self._process(batch, query=query))
        ]

    def spans(self, text: str, *, query: bool = False) -> list[Span]:
        """Return the start and end in the text of each row, in characters."""
        batch = self._process([text], query=query)
        [kept] = _masks(batch["attention_mask"])
        ids = np.asarray(batch["input_ids"][0].tolist())[kept].tolist()
        tokenizer = self.processor.tokenizer
        prefix = self.processor.query_prefix if query else ""
        token = getattr(self.processor, "query_augmentation_token", "")
        suffix = token * _AUGMENTATION if query else ""
        for start in (prefix, (tokenizer.bos_token or "") + prefix):
            tokens = tokenizer(start + text + suffix, return_offsets_mapping=True, verbose=False)
            if list(tokens["input_ids"]) == ids:
                return [
                    _within(begin - len(start), end - len(start), len(text))
                    for begin, end in tokens["offset_mapping"]
                ]
        raise SpansUnknownError(f"{type(self.processor).__name__} has other tokens for this text")

    def boxes(self, image: Any) -> list[Box]:
        """Return the left, top, right and bottom of each row, from 0 to 1.

        Models that split an image into parts, ColIdefics3 and ColModernVBert, have no boxes.
        """
        batch = self.processor.process_images([image])
        name = type(self.processor).__name__
        if hasattr(self.processor, "get_local_image_mask"):
            raise BoxesUnknownError(f"{name} splits an image into parts")
        if not hasattr(self.processor, "get_image_mask"):
            raise BoxesUnknownError(f"{name} does not tell which rows are patches")
        [kept] = _masks(batch["attention_mask"])
        [patches] = _masks(self.processor.get_image_mask(batch))
        parameters = inspect.signature(self.processor.get_n_patches).parameters
        names = [name for name in ("patch_size", "spatial_merge_size") if name in parameters]
        sizes = {name: self._size(name) for name in names}
        columns, rows = self.processor.get_n_patches(image.size, **sizes)
        return grid_boxes(patches[kept].tolist(), columns, rows)

    def _encode_images(self, images: list[Any]) -> list[MultiVector]:
        return [
            multivector
            for batch in self._batches(images)
            for multivector in self._run(self.processor.process_images(batch))
        ]

    def _size(self, name: str) -> int:
        """Return a size that the model has, or its configuration.

        The property of ColPali in colpali-engine 0.3.18 fails with transformers 5.24.
        """
        size = getattr(self.model, name, None)
        return int(getattr(self.model.config.vision_config, name) if size is None else size)

    def _process(self, texts: list[str], *, query: bool) -> Any:
        if query:
            return self.processor.process_queries(texts)
        return self.processor.process_texts(texts)

    def _run(self, batch: Any) -> list[MultiVector]:
        """Return the rows of each text or image, without those of the padding."""
        with _without_gradients():
            states = self.model(**batch.to(self.model.device))
        masks = _masks(batch["attention_mask"])
        return [
            MultiVector(rows[np.flatnonzero(mask).tolist()])
            for rows, mask in zip(states, masks, strict=True)
        ]

    def _batches(self, items: list[Any]) -> Iterator[list[Any]]:
        for start in range(0, len(items), self._batch_size):
            yield items[start : start + self._batch_size]


def grid_boxes(patches: list[bool], columns: int, rows: int) -> list[Box]:
    """Return the box of each row of a multivector, of which some are patches.

    The patches are those of a grid, line by line from the top left.
    """
    if columns < 1 or rows < 1 or sum(patches) != columns * rows:
        raise BoxesUnknownError(f"expected {columns} x {rows} patches, not {sum(patches)}")
    boxes = [
        (x / columns, y / rows, (x + 1) / columns, (y + 1) / rows)
        for y in range(rows)
        for x in range(columns)
    ]
    following = iter(boxes)
    return [next(following) if patch else NO_BOX for patch in patches]


def _masks(tensor: Any) -> list[Any]:
    """Return the masks of a batch, a tensor on any device, as arrays."""
    return [np.asarray(row, bool) for row in tensor.tolist()]


def _within(start: int, end: int, length: int) -> Span:
    """Return the part of a span that lies within the text."""
    start, end = max(start, 0), min(end, length)
    return (start, end) if start < end else NOWHERE


def _without_gradients() -> Any:
    """Return a context in which torch, if the model uses it, keeps no gradients."""
    torch = sys.modules.get("torch")
    return contextlib.nullcontext() if torch is None else torch.inference_mode()
