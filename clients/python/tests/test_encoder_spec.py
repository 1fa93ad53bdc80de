"""Encoders by a line of text, with fakes of the libraries."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from tokenizers import Tokenizer, models

from colbert_pg.encoders import (
    FastEmbedEncoder,
    NextPlaidEncoder,
    OnnxEncoder,
    PyLateEncoder,
    PyLateServerEncoder,
    SentenceTransformersEncoder,
    VllmEncoder,
    make_encoder,
)
from colbert_pg.encoders.onnx import _MODEL_FILE, _TOKENIZER_FILE, MINILM_PACKAGES, _package


def test_onnx() -> None:
    encoder = make_encoder("minilm:threads=1,window=9,special_tokens=true,query_prefix=to: a=b")
    assert isinstance(encoder, OnnxEncoder)
    assert (encoder.window, len(encoder.spans("bow"))) == (9, 3)
    assert len(encoder.spans("bow", query=True)) > 6
    model, tokenizer = (_package(name) for name in MINILM_PACKAGES)
    files = f"{model / _MODEL_FILE},{tokenizer / _TOKENIZER_FILE}"
    other = make_encoder(f"onnx:{files},window=256,too_long=truncate,threads=1")
    assert other.encode_query("bow").shape == (1, 384)


@pytest.mark.parametrize(
    ("spec", "module", "name", "cls"),
    [
        (
            "sentence-transformers:a/b,batch_size=7",
            "sentence_transformers",
            "MultiVectorEncoder",
            SentenceTransformersEncoder,
        ),
        ("pylate:a/b,too_long=truncate", "pylate.models", "ColBERT", PyLateEncoder),
        ("fastembed:a/b", "fastembed", "LateInteractionTextEmbedding", FastEmbedEncoder),
    ],
)
def test_libraries(
    monkeypatch: pytest.MonkeyPatch, spec: str, module: str, name: str, cls: type
) -> None:
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)  # not installed
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match="this encoder needs pip install"):
        make_encoder(spec)
    package = SimpleNamespace(**{name: lambda model: f"the model {model}"})
    monkeypatch.setitem(sys.modules, module.partition(".")[0], SimpleNamespace(__path__=[]))
    monkeypatch.setitem(sys.modules, module, package)
    encoder: Any = make_encoder(spec)
    assert encoder.model == "the model a/b"
    assert isinstance(encoder, cls)


def test_servers(tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer.json"
    Tokenizer(models.WordLevel({"?": 0}, unk_token="?")).save(str(tokenizer))
    vllm = make_encoder("vllm:https://host:8000/?a=b,a/b,query_prefix=[Q] ,timeout=2.5")
    plaid = make_encoder(f"next-plaid:http://host:8000,{tokenizer},512,batch_size=4")
    pylate = make_encoder(f"pylate-server:http://host:8000,a/b,{tokenizer},512")
    assert [type(e) for e in (vllm, plaid, pylate)] == [
        VllmEncoder,
        NextPlaidEncoder,
        PyLateServerEncoder,
    ]


@pytest.mark.parametrize("key", ["secret", None])
def test_keys_of_servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str | None) -> None:
    """A key comes from the environment: arguments of a program are seen by other users."""
    tokenizer = tmp_path / "tokenizer.json"
    Tokenizer(models.WordLevel({"?": 0}, unk_token="?")).save(str(tokenizer))
    sent: list[str | None] = []

    def post(request: urllib.request.Request, timeout: float) -> NoReturn:
        assert timeout == 60
        sent.append(request.get_header("Authorization"))
        raise OSError("sent")

    monkeypatch.setattr(urllib.request, "urlopen", post)
    monkeypatch.setenv("OTHER_KEY", " other\n")
    if key is None:
        monkeypatch.delenv("VLLM_API_KEY", raising=False)
    else:
        monkeypatch.setenv("VLLM_API_KEY", key)
    for spec in (
        "vllm:http://host,a",
        "vllm:http://host,a,api_key_env=OTHER_KEY",
        f"next-plaid:http://host,{tokenizer},9",
        f"pylate-server:http://host,a,{tokenizer},9,api_key_env=OTHER_KEY",
    ):
        with pytest.raises(OSError, match="sent"):
            make_encoder(spec).encode_query("a")
    assert sent == [key and f"Bearer {key}", "Bearer other", None, "Bearer other"]
    for wrong in ("secret\nSecret: x", "schl\u00fcssel"):
        monkeypatch.setenv("OTHER_KEY", wrong)
        with pytest.raises(ValueError, match=r"variable OTHER_KEY is not a line of ASCII$"):
            make_encoder("vllm:http://host,a,api_key_env=OTHER_KEY")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("vllm:http://host,a,api_key_env=NONE", "environment variable NONE is not set"),
        ("minilm:api_key_env=NONE", "encoder minilm has no option 'api_key_env'"),
        ("", "expected an encoder minilm, onnx:MODEL,TOKENIZER, .*, not ''"),
        ("bert", "expected an encoder minilm, .*, not 'bert'"),
        ("minilm:x", "expected an encoder minilm, not 'minilm:x'"),
        ("onnx:a", "expected an encoder onnx:MODEL,TOKENIZER, not 'onnx:a'"),
        ("vllm:http://host,", "expected an encoder vllm:URL,MODEL, not"),
        ("vllm:ftp://host,a", "expected a URL of http or https, not 'ftp://host'"),
        ("vllm:http://host,a,window=3", "encoder vllm has no option 'window', but timeout, "),
        ("minilm:window=many", "option window of encoder minilm: invalid literal"),
        ("minilm:too_long=cut", "option too_long of encoder minilm: expected error or truncate"),
        ("minilm:special_tokens=1", "expected true or false, not '1'"),
        ("minilm:window=1", "expected window of at least 3 tokens, not 1"),
        ("next-plaid:http://host,t.json,wide", "invalid literal for int"),
    ],
)
def test_errors(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_encoder(spec)
