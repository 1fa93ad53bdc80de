"""An encoder by a line of text, such as that of a command's option."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from .http import NextPlaidEncoder, PyLateServerEncoder, VllmEncoder
from .libraries import FastEmbedEncoder, PyLateEncoder, SentenceTransformersEncoder
from .onnx import OnnxEncoder
from .protocol import Encoder, TooLong

_VLLM_KEY = "VLLM_API_KEY"  # the variable by which the server of vLLM gets it
_PARAMETERS = {"api_key_env": "headers"}  # of options with other names
_OPTION = re.compile(r"([a-z_]+)=(.*)", re.DOTALL)


def make_encoder(spec: str) -> Encoder:
    """Return the encoder of a specification: KIND, or KIND:ARGUMENT,...,OPTION=VALUE,...

    minilm
    onnx:MODEL,TOKENIZER
    sentence-transformers:NAME
    pylate:NAME
    fastembed:NAME
    vllm:URL,MODEL
    next-plaid:URL,TOKENIZER,WINDOW
    pylate-server:URL,MODEL,TOKENIZER,WINDOW

    An argument or a value has no comma. Options are those of the encoder's class, such as
    window, too_long, query_prefix, document_prefix, batch_size, threads and timeout:
    "minilm:threads=2", "vllm:http://gpu:8000,MODEL,query_prefix=[Q] ".
    api_key_env=NAME, of an encoder on another machine, names the environment variable with the key
    that requests carry as "Authorization: Bearer KEY". vllm takes VLLM_API_KEY if it is set.
    """
    name, _, rest = spec.partition(":")
    kind = _KINDS.get(name)
    if kind is None:
        raise ValueError(f"expected an encoder {', '.join(_forms())}, not {spec!r}")
    arguments: list[str] = []
    options: dict[str, Any] = {}
    for part in rest.split(",") if rest else []:
        option = _OPTION.fullmatch(part)
        if option is None:
            arguments.append(part)
        else:
            parameter = _PARAMETERS.get(option[1], option[1])
            options[parameter] = kind.option(name, option[1], option[2])
    if len(arguments) != len(kind.arguments) or not all(arguments):
        raise ValueError(f"expected an encoder {_form(name)}, not {spec!r}")
    return kind.make(*arguments, **options)


def _forms() -> list[str]:
    return [_form(name) for name in _KINDS]


def _form(name: str) -> str:
    arguments = _KINDS[name].arguments
    return f"{name}:{','.join(arguments)}" if arguments else name


def _too_long(value: str) -> str:
    if value not in get_args(TooLong):
        raise ValueError(f"expected {' or '.join(get_args(TooLong))}, not {value!r}")
    return value


def _flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError(f"expected true or false, not {value!r}")
    return value == "true"


def _authorization(variable: str) -> dict[str, str]:
    """Return the headers with the key of an environment variable."""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ValueError(f"environment variable {variable} is not set")
    if not (key.isascii() and key.isprintable()):  # the error of a header would show the key
        raise ValueError(f"environment variable {variable} is not a line of ASCII")
    return {"Authorization": f"Bearer {key}"}


_Options = Mapping[str, Callable[[str], Any]]
_PREFIXES: _Options = {"query_prefix": str, "document_prefix": str}
_LIBRARY: _Options = {"too_long": _too_long, "batch_size": int}
_HTTP: _Options = {"timeout": float, "batch_size": int, "api_key_env": _authorization}
_ONNX: _Options = {
    **_PREFIXES,
    **_LIBRARY,
    "window": int,
    "special_tokens": _flag,
    "threads": int,
}


@dataclass(frozen=True)
class _Kind:
    """How an encoder is made, the names of its arguments, and its options."""

    make: Callable[..., Encoder]
    arguments: tuple[str, ...] = ()
    options: _Options = field(default_factory=dict)

    def option(self, kind: str, name: str, value: str) -> Any:
        read = self.options.get(name)
        if read is None:
            known = ", ".join(self.options)
            raise ValueError(f"encoder {kind} has no option {name!r}, but {known}")
        try:
            return read(value)
        except ValueError as e:
            raise ValueError(f"option {name} of encoder {kind}: {e}") from None


def _load(module: str, name: str, package: str) -> Any:
    """Return a class of a library, which is imported only now."""
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError:
        raise ImportError(f"this encoder needs pip install {package}") from None


def _sentence_transformers(name: str, **options: Any) -> Encoder:
    cls = _load("sentence_transformers", "MultiVectorEncoder", "'sentence-transformers>=6'")
    return SentenceTransformersEncoder(cls(name), **options)


def _pylate(name: str, **options: Any) -> Encoder:
    return PyLateEncoder(_load("pylate.models", "ColBERT", "pylate")(name), **options)


def _fastembed(name: str, **options: Any) -> Encoder:
    cls = _load("fastembed", "LateInteractionTextEmbedding", "fastembed")
    return FastEmbedEncoder(cls(name), **options)


def _vllm(url: str, model: str, **options: Any) -> Encoder:
    if "headers" not in options and os.environ.get(_VLLM_KEY):
        options["headers"] = _authorization(_VLLM_KEY)
    return VllmEncoder(url, model, **options)


def _next_plaid(url: str, tokenizer: str, window: str, **options: Any) -> Encoder:
    return NextPlaidEncoder(url, tokenizer=tokenizer, window=int(window), **options)


def _pylate_server(url: str, model: str, tokenizer: str, window: str, **options: Any) -> Encoder:
    return PyLateServerEncoder(url, model, tokenizer=tokenizer, window=int(window), **options)


_KINDS: dict[str, _Kind] = {
    "minilm": _Kind(OnnxEncoder.minilm, (), _ONNX),
    "onnx": _Kind(OnnxEncoder, ("MODEL", "TOKENIZER"), _ONNX),
    "sentence-transformers": _Kind(_sentence_transformers, ("NAME",), _LIBRARY),
    "pylate": _Kind(_pylate, ("NAME",), _LIBRARY),
    "fastembed": _Kind(_fastembed, ("NAME",), _LIBRARY),
    "vllm": _Kind(_vllm, ("URL", "MODEL"), {**_HTTP, **_PREFIXES}),
    "next-plaid": _Kind(_next_plaid, ("URL", "TOKENIZER", "WINDOW"), _HTTP),
    "pylate-server": _Kind(_pylate_server, ("URL", "MODEL", "TOKENIZER", "WINDOW"), _HTTP),
}
