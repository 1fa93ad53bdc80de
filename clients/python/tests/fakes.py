"""Fakes of libraries of encoders, with their names and parameters.

They are those of sentence-transformers 6.2.0, PyLate 1.6.0, FastEmbed 0.9.1 and colpali-engine
0.3.18, with which test_signatures.py compares them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[Q]", "[D]", "?", ".", "gout", "drugs", "help", "in"]
PAD, CLS, SEP, MASK, QUERY, DOCUMENT, UNKNOWN, FULL_STOP = range(8)
IMAGE = UNKNOWN  # a patch, before the model has seen it
PATCH = 14  # pixels


def make_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="?"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(WORDS[:6])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return tokenizer


class FastTokenizer:
    """A PreTrainedTokenizerFast."""

    bos_token = "[D]"

    def __call__(
        self, text: str, *, return_offsets_mapping: bool = False, verbose: bool = True
    ) -> dict[str, Any]:
        encoding = make_tokenizer().encode(text)
        if verbose and len(encoding) > 9:
            warnings.warn("Token indices sequence length is longer than", stacklevel=1)
        tokens: dict[str, Any] = {"input_ids": encoding.ids}
        if return_offsets_mapping:
            tokens["offset_mapping"] = encoding.offsets
        return tokens


def truncated(ids: list[int], window: int) -> list[int]:
    return ids if len(ids) <= window else [*ids[: window - 1], SEP]


def rows(ids: Iterable[int]) -> npt.NDArray[np.float32]:
    return np.eye(len(WORDS), dtype=np.float32)[list(ids)]


class SentenceTransformers:
    """A MultiVectorEncoder with prompts, a skip list, and query expansion to eight tokens."""

    def __init__(self) -> None:
        self.prompts: dict[str, str | None] = {"query": "[Q] ", "document": "[D] "}
        self.tokenizer = FastTokenizer()
        self.max_seq_length = 512
        self.transformer = SimpleNamespace(
            query_length=None,
            document_length=9,
            query_expansion={"strategy": "fixed", "length": 8},
        )

    def __getitem__(self, index: int) -> SimpleNamespace:
        assert index == 0
        return self.transformer

    def get_embedding_dimension(self) -> int:
        return len(WORDS)

    def encode_query(self, inputs: str | list[str], **options: Any) -> Any:
        return self._encode(inputs, "query", **options)

    def encode_document(self, inputs: str | list[str], **options: Any) -> Any:
        return self._encode(inputs, "document", **options)

    def _encode(
        self,
        inputs: str | list[str],
        task: str,
        *,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: str | None = "token_embeddings",
        convert_to_numpy: bool = False,
    ) -> Any:
        assert show_progress_bar is False
        assert batch_size == 32
        if not isinstance(inputs, list):
            assert output_value is None
            ids, mask = self._features(inputs, task)
            return {"input_ids": np.array(ids), "attention_mask": np.array(mask)}
        assert convert_to_numpy
        pairs = [self._features(text, task) for text in inputs]
        return [rows(ids)[np.array(mask)] for ids, mask in pairs]

    def _features(self, text: str, task: str) -> tuple[list[int], list[bool]]:
        ids = self.tokenizer((self.prompts[task] or "") + text, verbose=False)["input_ids"]
        if task == "query":
            ids = truncated(ids, 8)
            ids = ids + [MASK] * (8 - len(ids))
            return ids, [True] * 8
        ids = truncated(ids, self.transformer.document_length)
        return ids, [token != FULL_STOP for token in ids]


class PyLate:
    """A ColBERT that inserts markers by their ids."""

    def __init__(self) -> None:
        self.prompts: dict[str, str] = {}
        self.default_prompt_name = None
        self.tokenizer = FastTokenizer()
        self.query_length, self.document_length = 8, 9
        self.query_prefix_id, self.document_prefix_id = QUERY, DOCUMENT

    def encode(
        self,
        sentences: str | list[str],
        *,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        is_query: bool = True,
        output_value: str | None = "token_embeddings",
    ) -> Any:
        assert show_progress_bar is False
        assert batch_size == 32
        if isinstance(sentences, str):
            assert output_value is None
            ids, mask = self._features(sentences, is_query=is_query)
            return {"input_ids": np.array(ids), "masks": np.array(mask)}
        pairs = [self._features(text, is_query=is_query) for text in sentences]
        return [rows(ids)[np.array(mask)] for ids, mask in pairs]

    def _features(self, text: str, *, is_query: bool) -> tuple[list[int], list[bool]]:
        ids = list(self.tokenizer(text, verbose=False)["input_ids"])
        if is_query:
            ids = truncated(ids, self.query_length - 1)
            ids = [CLS, QUERY, *ids[1:]]
            ids += [MASK] * (self.query_length - len(ids))
            return ids, [True] * len(ids)
        ids = truncated(ids, self.document_length - 1)
        ids = [CLS, DOCUMENT, *ids[1:]]
        return ids, [token != FULL_STOP for token in ids]


class FastEmbed:
    """A LateInteractionTextEmbedding with a Colbert in it."""

    embedding_size = len(WORDS)

    def __init__(self) -> None:
        tokenizer, query_tokenizer = make_tokenizer(), make_tokenizer()
        tokenizer.enable_truncation(8)
        tokenizer.enable_padding(pad_id=PAD)
        query_tokenizer.enable_truncation(8)
        query_tokenizer.enable_padding(pad_id=MASK, pad_token="[MASK]", length=7)
        self.model = SimpleNamespace(
            tokenizer=tokenizer,
            query_tokenizer=query_tokenizer,
            skip_list={FULL_STOP},
            DOCUMENT_MARKER_TOKEN_ID=DOCUMENT,
        )

    def embed(self, documents: list[str], batch_size: int = 256) -> Iterator[Any]:
        assert batch_size == 32
        for encoding in self.model.tokenizer.encode_batch(documents):
            ids = [CLS, DOCUMENT, *encoding.ids[1:]]
            yield rows(token for token in ids if token not in (FULL_STOP, PAD))

    def query_embed(self, query: list[str]) -> Iterator[Any]:
        for text in query:
            [encoding] = self.model.query_tokenizer.encode_batch([text])
            yield rows([CLS, QUERY, *encoding.ids[1:]])


class Image:
    """An image of PIL, as a grid of words."""

    def __init__(self, *lines: str) -> None:
        self.patches = [[WORDS.index(word) for word in line.split()] for line in lines]
        self.size = (len(self.patches[0]) * PATCH, len(self.patches) * PATCH)

    @property
    def words(self) -> list[int]:
        return [word for line in self.patches for word in line]

    def save(self, file: Any, format: str) -> None:
        file.write(format.encode() + bytes(self.words))


class Batch(dict[str, Any]):
    """A BatchFeature on the CPU."""

    def to(self, device: str) -> Batch:
        return Batch(self, device=device)

    @property
    def input_ids(self) -> Any:
        return self["input_ids"]


class ColPaliProcessor:
    """A ColPaliProcessor. It pads on the left, as most of its siblings do."""

    query_prefix: ClassVar[str] = "[Q] "

    def __init__(self) -> None:
        self.tokenizer = FastTokenizer()

    @property
    def query_augmentation_token(self) -> str:
        return "[MASK]"

    def process_images(self, images: list[Image]) -> Batch:
        return self._batch([[CLS, *[IMAGE] * len(image.words), SEP] for image in images], images)

    def process_texts(self, texts: list[str]) -> Batch:
        return self._batch(
            [self.tokenizer("[D]" + text, verbose=False)["input_ids"] for text in texts]
        )

    def process_queries(
        self,
        texts: list[str] | None = None,
        queries: list[str] | None = None,
        max_length: int = 50,
        contexts: list[str] | None = None,
        suffix: str | None = None,
    ) -> Batch:
        assert (queries, max_length, contexts, suffix) == (None, 50, None, None)
        suffix = self.query_augmentation_token * 10
        return self.process_texts([self.query_prefix + text + suffix for text in texts or []])

    def get_n_patches(self, image_size: tuple[int, int], patch_size: int) -> tuple[int, int]:
        return image_size[0] // patch_size, image_size[1] // patch_size

    def get_image_mask(self, batch_images: Batch) -> npt.NDArray[np.bool_]:
        return np.asarray(batch_images.input_ids == IMAGE)

    @staticmethod
    def _batch(ids: list[list[int]], images: list[Image] | None = None) -> Batch:
        length = max(map(len, ids))
        padded = np.array([[PAD] * (length - len(row)) + row for row in ids])
        batch = Batch(input_ids=padded, attention_mask=(padded != PAD).astype(int))
        return batch if images is None else Batch(batch, pixel_values=images)


class ColPali:
    """A ColPali. A row of the padding is not a number: whoever reads it fails."""

    dim = len(WORDS)
    device = "cpu"
    patch_size = PATCH

    def __call__(self, **kwargs: Any) -> list[npt.NDArray[np.float32]]:
        return self.forward(**kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> list[npt.NDArray[np.float32]]:
        assert not args
        assert kwargs["device"] == self.device
        assert len(kwargs["input_ids"]) <= 2
        images = kwargs.get("pixel_values", [])
        ids = np.array(kwargs["input_ids"])
        for row, image in zip(ids, images, strict=False):
            row[row == IMAGE] = image.words
        states = [rows(row) for row in ids]
        for state, mask in zip(states, kwargs["attention_mask"], strict=True):
            state[mask == 0] = np.nan
        return states


class ColQwen2Processor(ColPaliProcessor):
    """A ColQwen2Processor, which merges patches by itself."""

    def get_n_patches(
        self, image_size: tuple[int, int], spatial_merge_size: int
    ) -> tuple[int, int]:
        return image_size[0] // PATCH * 2 // spatial_merge_size, image_size[1] // PATCH


class ColQwen2(ColPali):
    """A ColQwen2."""

    spatial_merge_size = 2
