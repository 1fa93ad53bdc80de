"""colbert-pg load: rows from a file of JSON lines, or multivectors from a file of numpy."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import zipfile
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

import numpy as np

from ..collection import Collection, FullText, OnConflict
from ..encoders import TextError
from ..multivector import Element, MultiVector
from .common import (
    CommandError,
    Show,
    Subcommands,
    add_command,
    add_encoder,
    add_progress,
    add_table,
    collection_of,
    connect,
    encoder_of,
    progress_of,
)

_MEMBERS = {"id", "text", "metadata"}


@dataclass
class _Row:
    """A row to be written. place: where it stands, for errors."""

    place: str
    id: str
    text: str
    metadata: dict[str, Any]
    doc: MultiVector | None = None


Rows: TypeAlias = Generator[_Row, None, None]


def add_load(commands: Subcommands) -> None:
    parser = add_command(commands, "load", _load, "load texts or multivectors into a table")
    parser.add_argument(
        "file",
        help='JSON lines {"id": ..., "text": ..., "metadata": {...}}, of which metadata may be '
        "absent, or - for those of standard input; or FILE.npz with an array of (tokens, dims) "
        "per document, whose name is the id",
    )
    add_table(parser)
    add_encoder(parser, required=False)
    parser.add_argument(
        "--element",
        choices=get_args(Element),
        default="float2",
        help="of the column if the table is created; default: %(default)s",
    )
    parser.add_argument(
        "--full-text",
        metavar="CONFIG",
        help="text search configuration, such as english: keep the words of the texts, too, and "
        "make their statistics, for search --mode",
    )
    parser.add_argument(
        "--title",
        metavar="KEY",
        help="with --full-text: the key of the metadata whose value is the title of the text",
    )
    parser.add_argument(
        "--on-conflict",
        choices=get_args(OnConflict),
        default="error",
        help="treatment of a row whose id exists; default: %(default)s",
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=256,
        metavar="N",
        help="rows per transaction; default: %(default)s",
    )
    add_progress(parser)


def _load(args: argparse.Namespace) -> None:
    if args.batch < 1:
        raise CommandError(f"expected --batch of at least 1, not {args.batch}")
    binary = args.file.endswith(".npz")
    if args.encoder is None and not binary:
        raise CommandError("expected --encoder for a file of texts")
    encoder = None if binary else encoder_of(args)
    rows = _arrays(args.file) if binary else _lines(args.file)
    with connect(args) as conn, progress_of(args) as show, closing(rows):
        full_text = _full_text(args)
        collection = collection_of(args, conn, encoder, element=args.element, full_text=full_text)
        read, written = _write(collection, rows, args, show)
        print(f"{written} rows written")
        if read and full_text is not None:
            collection.analyze()


def _full_text(args: argparse.Namespace) -> FullText | None:
    if args.full_text is not None:
        return FullText(args.full_text, args.title)
    if args.title is not None:
        raise CommandError("expected --title only with --full-text")
    return None


def _write(
    collection: Collection, rows: Iterator[_Row], args: argparse.Namespace, show: Show
) -> tuple[int, int]:
    """Create the table if there is none, and write the rows batch by batch.

    Return how many rows were read, and how many written.
    """
    written = done = 0
    try:
        while batch := list(itertools.islice(rows, args.batch)):
            if done == 0:
                collection.create(dims=None if batch[0].doc is None else batch[0].doc.shape[1])
            written += _add(collection, batch, args.on_conflict)
            done += len(batch)
            show(f"{done} rows done, {written} written")
    except Exception:
        if done:
            print(f"{done} rows are done: --on-conflict skip goes on after them", file=sys.stderr)
        raise
    return done, written


def _add(collection: Collection, rows: list[_Row], on_conflict: OnConflict) -> int:
    docs = [row.doc for row in rows if row.doc is not None]
    has_metadata = any(row.metadata for row in rows)
    try:
        written = collection.add(
            [row.text for row in rows],
            ids=[row.id for row in rows],
            metadata=[row.metadata for row in rows] if has_metadata else None,
            docs=docs or None,
            on_conflict=on_conflict,
        )
    except TextError as e:
        raise CommandError(f"{rows[e.number - 1].place}: {e.message}") from e
    return len(written)


def _lines(name: str) -> Rows:
    if name == "-":
        yield from _parsed("standard input", sys.stdin.buffer)
        return
    with open(name, "rb") as file:
        yield from _parsed(name, file)


def _parsed(name: str, lines: Any) -> Iterator[_Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{name}:{number}"
        try:
            yield _row(place, json.loads(line))
        except RecursionError:
            raise CommandError(f"{place}: the line is nested too deep") from None
        except ValueError as e:
            raise CommandError(f"{place}: {e}") from None


def _row(place: str, found: Any) -> _Row:
    if not isinstance(found, dict):
        raise ValueError(f"expected an object, not {type(found).__name__}")
    unknown = sorted(found.keys() - _MEMBERS)
    if unknown:
        raise ValueError(f"expected id, text and metadata, not {', '.join(unknown)}")
    key, text, metadata = found.get("id"), found.get("text"), found.get("metadata", {})
    if not isinstance(key, str | int) or isinstance(key, bool):
        raise ValueError("expected a string or an integer as id")
    if not isinstance(text, str):
        raise ValueError("expected a string as text")
    if not isinstance(metadata, dict):
        raise ValueError("expected an object as metadata")
    return _Row(place, str(key), text, metadata)


def _arrays(name: str) -> Rows:
    try:
        loaded = np.load(name, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise CommandError(f"{name}: expected an archive of arrays, not one array")
        with loaded as archive:
            for key in archive.files:
                place = f"{name}: {key}"
                try:
                    doc = MultiVector(archive[key])
                except ValueError as e:
                    raise CommandError(f"{place}: {e}") from None
                yield _Row(place, key, "", {}, doc)
    except (zipfile.BadZipFile, EOFError) as e:
        raise CommandError(f"{name}: {e}") from None
