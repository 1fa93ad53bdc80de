"""The fakes of libraries have the names and parameters of the versions that the extras start at.

The libraries are not imported, since they need torch: their source is read, in wheels from PyPI.
Only with COLBERT_EXTRA, since it needs a network.
"""

from __future__ import annotations

import ast
import functools
import inspect
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fakes
import pytest

CLIENTS = Path(__file__).parents[1]
CACHE = CLIENTS.parents[1] / "build" / "signatures"
VERSIONS = {
    "sentence-transformers": "6.2.0",
    "pylate": "1.6.0",
    "fastembed": "0.9.1",
    "colpali-engine": "0.3.18",
}
MODEL = "sentence_transformers/multi_vector_encoder/model.py"
BASE_MODEL = "sentence_transformers/base/model.py"
GRID = "sentence_transformers/multi_vector_encoder/interpretability.py"
COLBERT = "pylate/models/colbert.py"
FASTEMBED = "fastembed/late_interaction/late_interaction_text_embedding.py"
COLPALI = "colpali_engine/models/paligemma/colpali/{}_colpali.py"
COLQWEN = "colpali_engine/models/qwen2/colqwen2/{}_colqwen2.py"
PROCESSING = "colpali_engine/utils/processing_utils.py"
Function = tuple[str, str, str, Callable[..., Any]]

encode = fakes.SentenceTransformers._encode  # with the name of the task, as MultiVectorEncoder has
FUNCTIONS: list[Function] = [
    ("sentence-transformers", MODEL, "MultiVectorEncoder.encode", encode),
    ("pylate", COLBERT, "ColBERT.encode", fakes.PyLate.encode),
    ("fastembed", FASTEMBED, "LateInteractionTextEmbedding.embed", fakes.FastEmbed.embed),
    (
        "fastembed",
        FASTEMBED,
        "LateInteractionTextEmbedding.query_embed",
        fakes.FastEmbed.query_embed,
    ),
    ("sentence-transformers", GRID, "get_n_patches", lambda model, image_size: (model, image_size)),
]
# Fakes that have all parameters, in their order.
COMPLETE: list[Function] = [
    ("colpali-engine", PROCESSING, f"BaseVisualRetrieverProcessor.{function.__name__}", function)
    for function in (
        fakes.ColPaliProcessor.process_images,
        fakes.ColPaliProcessor.process_texts,
        fakes.ColPaliProcessor.process_queries,
    )
]
for place, kind, function in (
    (COLPALI, "processing", fakes.ColPaliProcessor.process_images),
    (COLPALI, "processing", fakes.ColPaliProcessor.process_texts),
    (COLPALI, "processing", fakes.ColPaliProcessor.get_n_patches),
    (COLPALI, "processing", fakes.ColPaliProcessor.get_image_mask),
    (COLPALI, "modeling", fakes.ColPali.forward),
    (COLQWEN, "processing", fakes.ColQwen2Processor.process_images),
    (COLQWEN, "processing", fakes.ColQwen2Processor.process_texts),
    (COLQWEN, "processing", fakes.ColQwen2Processor.get_n_patches),
    (COLQWEN, "processing", fakes.ColQwen2Processor.get_image_mask),
    (COLQWEN, "modeling", fakes.ColQwen2.forward),
):
    of_class = "ColPali" if place == COLPALI else "ColQwen2"
    name = of_class + ("Processor" if kind == "processing" else "")
    COMPLETE.append(("colpali-engine", place.format(kind), f"{name}.{function.__name__}", function))
ATTRIBUTES = [
    ("sentence-transformers", MODEL, "encode_query encode_document get_embedding_dimension"),
    ("sentence-transformers", BASE_MODEL, "prompts tokenizer processor max_seq_length"),
    (
        "sentence-transformers",
        "sentence_transformers/base/modules/transformer.py",
        "query_length document_length query_expansion max_seq_length",
    ),
    ("pylate", COLBERT, "query_length document_length query_prefix_id document_prefix_id"),
    ("fastembed", FASTEMBED, "embedding_size model"),
    (
        "fastembed",
        "fastembed/late_interaction/colbert.py",
        "DOCUMENT_MARKER_TOKEN_ID skip_list query_tokenizer tokenizer",
    ),
    ("colpali-engine", PROCESSING, "query_prefix get_local_image_mask"),
    ("colpali-engine", COLPALI.format("processing"), "query_augmentation_token"),
    ("colpali-engine", COLPALI.format("modeling"), "dim patch_size"),
    ("colpali-engine", COLQWEN.format("processing"), "query_augmentation_token"),
    ("colpali-engine", COLQWEN.format("modeling"), "dim patch_size spatial_merge_size"),
]

needs_network = pytest.mark.skipif("COLBERT_EXTRA" not in os.environ, reason="needs a network")


def wheel(library: str) -> Path:
    """Return the wheel of the pinned version."""
    name = f"{library.replace('-', '_')}-{VERSIONS[library]}-py3-none-any.whl"
    if not (CACHE / name).exists():
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(CACHE)]
        subprocess.run([*command, f"{library}=={VERSIONS[library]}"], check=True)
    return CACHE / name


@functools.cache
def source(library: str, file: str) -> ast.Module:
    with zipfile.ZipFile(wheel(library)) as archive:
        return ast.parse(archive.read(file))


def definition(tree: ast.Module, name: str) -> ast.FunctionDef:
    """Return a function, or the last definition of a method, which is no overload."""
    body = tree.body
    for part in name.split(".")[:-1]:
        [of_class] = [n for n in body if isinstance(n, ast.ClassDef) and n.name == part]
        body = of_class.body
    last = name.rpartition(".")[2]
    return [n for n in body if isinstance(n, ast.FunctionDef) and n.name == last][-1]


def parameters(function: ast.FunctionDef) -> dict[str, bool]:
    """Return the named parameters, and whether each has a default."""
    arguments = function.args
    positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    required = len(positional) - len(arguments.defaults)
    found = {name: place >= required for place, name in enumerate(positional)}
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    found |= {argument.arg: default is not None for argument, default in keywords}
    found.pop("self", None)
    return found


def of_fake(function: Callable[..., Any]) -> list[str]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = inspect.signature(function).parameters.values()
    return [p.name for p in found if p.kind not in kinds and p.name != "self"]


def attributes(tree: ast.Module) -> Iterator[str]:
    """Return the names of methods and of attributes that classes have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


@needs_network
@pytest.mark.parametrize(("library", "file", "name", "fake"), FUNCTIONS)
def test_parameters(library: str, file: str, name: str, fake: Callable[..., Any]) -> None:
    own = parameters(definition(source(library, file), name))
    taken = of_fake(fake)
    assert set(taken) <= set(own)
    assert {parameter for parameter, optional in own.items() if not optional} <= set(taken)


@needs_network
@pytest.mark.parametrize(("library", "file", "name", "fake"), COMPLETE)
def test_all_parameters(library: str, file: str, name: str, fake: Callable[..., Any]) -> None:
    assert list(parameters(definition(source(library, file), name))) == of_fake(fake)


@needs_network
@pytest.mark.parametrize("side", ["query", "document"])
def test_sides_of_sentence_transformers(side: str) -> None:
    own = parameters(
        definition(source("sentence-transformers", MODEL), f"MultiVectorEncoder.encode_{side}")
    )
    assert {*own, "task"} >= set(of_fake(encode))


@needs_network
@pytest.mark.parametrize(("library", "file", "names"), ATTRIBUTES)
def test_attributes(library: str, file: str, names: str) -> None:
    assert set(names.split()) <= set(attributes(source(library, file)))


def test_extras_start_at_the_versions_of_the_fakes() -> None:
    text = (CLIENTS / "pyproject.toml").read_text()
    for library, version in VERSIONS.items():
        assert re.search(rf'= \["{library}>={re.escape(version)},<', text)
