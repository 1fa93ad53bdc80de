"""colbert-pg index: an index for search, with progress."""

from __future__ import annotations

import argparse

from .common import (
    CommandError,
    Show,
    Subcommands,
    add_command,
    add_progress,
    add_similarity,
    add_table,
    collection_of,
    connect,
    progress_of,
)


def add_index(commands: Subcommands) -> None:
    parser = add_command(commands, "index", _index, "create an index, and print its name")
    add_table(parser)
    add_similarity(parser)
    parser.add_argument(
        "--method",
        choices=("colbert_hnsw", "colbert_ivf"),
        default="colbert_hnsw",
        help="default: %(default)s",
    )
    parser.add_argument("--concurrently", action="store_true", help="let the table be written to")
    parser.add_argument(
        "--with",
        dest="options",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of CREATE INDEX, such as quantizer=bit; may be repeated",
    )
    add_progress(parser)


def _index(args: argparse.Namespace) -> None:
    options = dict(_option(text) for text in args.options)
    with connect(args) as conn, progress_of(args) as show:
        collection = collection_of(args, conn, similarity=args.similarity)
        name = collection.index(
            args.method,
            concurrently=args.concurrently,
            progress=_Phases(show),
            **options,
        )
    print(name)


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise CommandError(f"expected --with NAME=VALUE, not {text!r}")
    return name, value


class _Phases:
    """Progress of a build, as a line."""

    def __init__(self, show: Show) -> None:
        self._show = show

    def __call__(self, phase: str, done: int, total: int) -> None:
        self._show(f"{phase}: {done} of {total}" if total else phase)
