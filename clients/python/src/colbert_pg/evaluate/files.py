"""Files of queries, judgements and runs: those of TREC, and those of BEIR.

A file whose name ends in .gz, .bz2 or .xz is compressed.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

File: TypeAlias = str | os.PathLike[str]
Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
"""The relevance of documents, by the id of a query and of a document."""
Run: TypeAlias = Mapping[str, Mapping[str, float]]
"""The scores of the documents found, by the id of a query and of a document."""

_OPEN: dict[str, Callable[..., IO[Any]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_HEADER = ("query-id", "corpus-id", "score")


class _Lines:
    """The lines of a file that are not empty, and errors that name them."""

    def __init__(self, file: File) -> None:
        self.path = Path(file)
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        with _OPEN.get(self.path.suffix, open)(self.path, "rt", encoding="utf-8-sig") as lines:
            for self.number, line in enumerate(lines, 1):
                if line.strip():
                    yield line.rstrip("\r\n")

    def error(self, expected: str, line: str) -> ValueError:
        return ValueError(f"{self.path}, line {self.number}: expected {expected}, not {line!r:.80}")


def read_qrels(file: File) -> dict[str, dict[str, int]]:
    """Read judgements: of TREC (query, iteration, document, relevance), or of BEIR.

    BEIR's are separated by tabs (query-id, corpus-id, score), and may have a header.
    """
    lines, qrels = _Lines(file), dict[str, dict[str, int]]()
    for line in lines:
        fields = line.split("\t") if line.count("\t") == 2 else line.split()
        if lines.number == 1 and tuple(fields) == _HEADER:
            continue
        try:
            if len(fields) not in (3, 4):
                raise ValueError
            relevance = int(fields[-1])
        except ValueError:
            raise lines.error("query, document and relevance, a whole number", line) from None
        judged = qrels.setdefault(fields[0].strip(), {})
        if judged.setdefault(fields[-2].strip(), relevance) != relevance:
            raise lines.error("one judgement of a document for a query", line)
    return qrels


def read_queries(file: File) -> dict[str, str]:
    """Read texts by id: lines of JSON with id or _id and text, or of an id, a tab and a text."""
    lines, queries = _Lines(file), dict[str, str]()
    for line in lines:
        name, text = (
            _json_query(line) if line.lstrip().startswith("{") else line.partition("\t")[::2]
        )
        if not (isinstance(text, str) and text.strip() and name.strip()):
            raise lines.error('{"id": ..., "text": ...}, or id, tab and text', line)
        if name in queries:
            raise lines.error("an id that no line before has", line)
        queries[name] = text
    return queries


def _json_query(line: str) -> tuple[str, Any]:
    """Return the id and the text of a line of JSON, empty if it has none."""
    try:
        query = json.loads(line)
    except ValueError:
        return "", None
    name = query.get("_id", query.get("id", ""))
    return str(name) if isinstance(name, (str, int)) else "", query.get("text")


def read_run(file: File) -> dict[str, dict[str, float]]:
    """Read a run of TREC: query, Q0, document, rank, score and a tag. The rank is ignored."""
    lines, run = _Lines(file), dict[str, dict[str, float]]()
    for line in lines:
        fields = line.split()
        try:
            if len(fields) != 6:
                raise ValueError
            value = float(fields[4])
            if not math.isfinite(value):
                raise ValueError
        except ValueError:
            raise lines.error("query, Q0, document, rank, score and tag", line) from None
        found = run.setdefault(fields[0], {})
        if fields[2] in found:
            raise lines.error("a document once per query", line)
        found[fields[2]] = value
    return run


def write_run(run: Run, file: File, tag: str = "colbert_pg") -> None:
    """Write a run in TREC's format, the best documents of a query first."""
    for name in [*run, *(document for found in run.values() for document in found), tag]:
        if not name or len(name.split()) != 1:
            raise ValueError(f"expected a name without white space, not {name!r}")
    path = Path(file)
    with _OPEN.get(path.suffix, open)(path, "wt", encoding="utf-8") as lines:
        for query, found in run.items():
            ranking = sorted(found.items(), key=lambda pair: -pair[1])
            for rank, (document, value) in enumerate(ranking, 1):
                lines.write(f"{query} Q0 {document} {rank} {float(value)!r} {tag}\n")
