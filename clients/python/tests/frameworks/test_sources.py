"""Libraries that need torch are not installed: the fakes are compared with their source."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fake_mteb
import pytest
import test_mteb

from colbert_pg.integrations.pylate import ColbertIndex
from colbert_pg.integrations.pylate.index import Result

ROOT = Path(__file__).parents[2]
WHEELS = ROOT.parent.parent / "build" / "wheels"


@dataclass(frozen=True)
class Library:
    """The source of a library, in a wheel."""

    wheel: Path

    def find(self, path: str, *names: str) -> Any:
        """Return the definition of a class or function, or of one inside a class."""
        with zipfile.ZipFile(self.wheel) as archive:
            found: Any = ast.parse(archive.read(path))
        for name in names:
            kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            named = [n for n in found.body if isinstance(n, kinds) and n.name == name]
            assert named, f"{path} has no {'.'.join(names)}"
            found = named[-1]
        return found

    def calls(self, path: str, function: str) -> list[ast.Call]:
        """Return the calls of a function, as in self.index(...)."""
        with zipfile.ZipFile(self.wheel) as archive:
            tree = ast.parse(archive.read(path))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        return [call for call in calls if ast.unparse(call.func) == function]


def library(name: str) -> Library:
    """Download the wheel of the version from which the extra accepts the library."""
    pin = re.search(rf'"({name})>=([0-9.]+)[",]', (ROOT / "pyproject.toml").read_text())
    assert pin
    folder = WHEELS / f"{pin[1]}-{pin[2]}"
    if not list(folder.glob("*.whl")):
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(folder)]
        command = [
            *pip,
            "--only-binary",
            ":all:",
            "--ignore-requires-python",
            f"{pin[1]}=={pin[2]}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if re.search("connection|timed out|name resolution|proxy", done.stderr, re.IGNORECASE):
            pytest.skip(f"PyPI cannot be reached: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
    [wheel] = folder.glob("*.whl")
    return Library(wheel)


@pytest.fixture(scope="module")
def pylate() -> Library:
    return library("pylate")


@pytest.fixture(scope="module")
def mteb() -> Library:
    return library("mteb")


@dataclass(frozen=True)
class Parameters:
    """The names of the parameters of a function, without self and cls."""

    positional: list[str]
    keyword: list[str]
    optional: set[str]
    others: bool  # **kwargs


def parameters(function: Any) -> Parameters:
    """Return the parameters of a definition, or of a function."""
    if not isinstance(function, ast.FunctionDef):
        return _of_signature(inspect.signature(function))
    arguments = function.args
    positional = [arg.arg for arg in arguments.args if arg.arg not in ("self", "cls")]
    keyword = [arg.arg for arg in arguments.kwonlyargs]
    optional = set(positional[len(positional) - len(arguments.defaults) :])
    if not arguments.defaults:
        optional = set()
    pairs = zip(keyword, arguments.kw_defaults, strict=True)
    optional |= {name for name, default in pairs if default is not None}
    return Parameters(positional, keyword, optional, arguments.kwarg is not None)


def _of_signature(signature: inspect.Signature) -> Parameters:
    named = {n: p for n, p in signature.parameters.items() if n not in ("self", "cls")}
    kinds = inspect.Parameter
    return Parameters(
        [name for name, p in named.items() if p.kind == kinds.POSITIONAL_OR_KEYWORD],
        [name for name, p in named.items() if p.kind == kinds.KEYWORD_ONLY],
        {name for name, p in named.items() if p.default is not kinds.empty},
        any(p.kind == kinds.VAR_KEYWORD for p in named.values()),
    )


def check_accepts(ours: Callable[..., Any], theirs: Any) -> None:
    """Our function accepts each call that theirs accepts."""
    own, other = parameters(ours), parameters(theirs)
    assert own.positional[: len(other.positional)] == other.positional
    assert set(other.keyword) <= set(own.keyword) | set(own.positional)
    more = {*own.positional, *own.keyword} - {*other.positional, *other.keyword}
    assert more | other.optional <= own.optional
    assert own.others or not other.others


def check_call(call: ast.Call, ours: Callable[..., Any]) -> None:
    """Our function accepts this call."""
    keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg}
    inspect.signature(ours).bind(*call.args, **keywords)


@pytest.mark.parametrize(
    "method", ["add_documents", "remove_documents", "__call__", "get_documents_embeddings"]
)
def test_an_index_of_pylate(pylate: Library, method: str) -> None:
    check_accepts(
        getattr(ColbertIndex, method), pylate.find("pylate/indexes/base.py", "Base", method)
    )


def test_an_end_to_end_index_of_pylate(pylate: Library) -> None:
    base = pylate.find("pylate/indexes/base.py", "Base")
    abstract = {item.name for item in base.body if isinstance(item, ast.FunctionDef)}
    assert abstract <= set(dir(ColbertIndex))
    plaid = pylate.find("pylate/indexes/plaid.py", "PLAID", "__call__")
    assert parameters(plaid) == parameters(ColbertIndex.__call__)
    result = pylate.find("pylate/rank/rank.py", "RerankResult")
    fields = [ast.unparse(item.target) for item in result.body if isinstance(item, ast.AnnAssign)]
    assert fields == list(Result.__annotations__)


def test_a_retriever_of_pylate(pylate: Library) -> None:
    calls = pylate.calls("pylate/retrieve/base.py", "self.index")
    end_to_end = [call for call in calls if "subset" in {keyword.arg for keyword in call.keywords}]
    assert end_to_end
    for call in end_to_end:
        check_call(call, ColbertIndex.__call__.__get__(object()))


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Any:
    fake_mteb.install(monkeypatch)
    import colbert_pg.integrations.mteb as module  # noqa: PLC0415

    return module


def test_a_model_of_mteb(mteb: Library, ours: Any) -> None:
    protocol = "mteb/models/models_protocols.py"
    for method in ("index", "search"):
        definition = mteb.find(protocol, "SearchProtocol", method)
        check_accepts(getattr(ours.ColbertSearch, method), definition)
    members = {item.name for item in mteb.find(protocol, "SearchProtocol").body[1:]}
    assert members <= set(dir(ours.ColbertSearch))
    evaluator = "mteb/_evaluators/retrieval_evaluator.py"
    for call in mteb.calls(evaluator, "search_model.index"):
        check_call(call, ours.ColbertSearch.index.__get__(object()))


def test_a_backend_of_mteb(mteb: Library, ours: Any) -> None:
    folder = "mteb/models/search_encoder_index"
    protocol = mteb.find(f"{folder}/search_backend_protocol.py", "IndexEncoderSearchProtocol")
    methods = [item for item in protocol.body if isinstance(item, ast.FunctionDef)]
    assert {item.name for item in methods} == {"add_documents", "search", "clear"}
    for method in methods:
        check_accepts(getattr(ours.ColbertBackend, method.name), method)
    for name in ("add_documents", "search", "clear"):
        calls = mteb.calls("mteb/models/search_wrappers.py", f"self.index_backend.{name}")
        assert calls
        for call in calls:
            check_call(call, getattr(ours.ColbertBackend, name).__get__(object()))


def test_the_fake_of_mteb(mteb: Library) -> None:
    for ours, path, *names in (
        (fake_mteb.create_dataloader, "mteb/_create_dataloaders.py", "create_dataloader"),
        (
            fake_mteb.ModelMeta.create_empty,
            "mteb/models/model_meta.py",
            *("ModelMeta", "create_empty"),
        ),
        (
            test_mteb.Wrapper._encode,
            "mteb/models/sentence_transformer_wrapper.py",
            *("MultiVectorWrapper", "_encode"),
        ),
        (
            test_mteb.Wrapper._encode,
            "mteb/models/model_implementations/pylate_models.py",
            *("MultiVectorModel", "_encode"),
        ),
    ):
        assert parameters(ours) == parameters(mteb.find(path, *names))


@pytest.mark.parametrize(
    ("fake", "path"),
    [
        (fake_mteb.PromptType, "mteb/types/_encoder_io.py"),
        (fake_mteb.ScoringFunction, "mteb/models/model_meta.py"),
    ],
)
def test_enumerations_of_mteb(mteb: Library, fake: Any, path: str) -> None:
    body = mteb.find(path, fake.__name__).body
    assigned = [item for item in body if isinstance(item, ast.Assign)]
    members = {ast.unparse(item.targets[0]): ast.literal_eval(item.value) for item in assigned}
    for member in fake:
        assert members[member.name] == member.value
