"""Shared code of the subcommands: options, connections, encoders and progress."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, get_args

import psycopg

from ..collection import Collection, Columns, IdType, Similarity
from ..encoders import Encoder, make_encoder
from ..explain import printable

Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Show: TypeAlias = Callable[[str], None]

_ENCODERS = (
    "minilm, onnx:MODEL,TOKENIZER, sentence-transformers:NAME, pylate:NAME, fastembed:NAME, "
    "vllm:URL,MODEL, next-plaid:URL,TOKENIZER,WINDOW or pylate-server:URL,MODEL,TOKENIZER,WINDOW; "
    "its options may follow: minilm:threads=2, onnx:MODEL,TOKENIZER,window=512,too_long=truncate"
)


class CommandError(Exception):
    """A command that failed, and why."""


def add_command(
    commands: Subcommands, name: str, run: Callable[[argparse.Namespace], None], text: str
) -> argparse.ArgumentParser:
    """Add a subcommand with the options of a connection."""
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(run=run)
    parser.add_argument(
        "--dsn",
        default="",
        metavar="CONNINFO",
        help="connection string or URI; without it, PGHOST, PGDATABASE and so on hold, as in psql",
    )
    return parser


def add_table(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a table and its columns."""
    columns = Columns()
    add_table_name(parser)
    add_column(parser, "--id-column", columns.id)
    add_column(parser, "--text-column", columns.text)
    add_column(parser, "--doc-column", columns.doc)
    parser.add_argument(
        "--metadata-column",
        default=columns.metadata,
        metavar="COLUMN",
        help="default: %(default)s; '' if the table has none",
    )
    parser.add_argument(
        "--id-type", choices=get_args(IdType), default="text", help="default: %(default)s"
    )


def add_table_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", required=True, help="table, or SCHEMA.TABLE")


def add_column(parser: argparse.ArgumentParser, option: str, default: str) -> None:
    parser.add_argument(option, default=default, metavar="COLUMN", help="default: %(default)s")


def add_queries(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--queries",
        required=True,
        metavar="FILE",
        help="lines of JSON with id and text, or of id, tab and text",
    )


def add_qrels(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--qrels", required=required, metavar="FILE", help="judgements, of TREC or of BEIR"
    )


def add_similarity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--similarity", choices=get_args(Similarity), default="maxsim", help="default: %(default)s"
    )


def add_encoder(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument("--encoder", required=required, help=_ENCODERS)


def add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show progress on standard error; by default, if that is a terminal",
    )


def connect(args: argparse.Namespace) -> psycopg.Connection[Any]:
    return psycopg.connect(args.dsn, autocommit=True, fallback_application_name="colbert-pg")


def encoder_of(args: argparse.Namespace) -> Encoder:
    try:
        return make_encoder(args.encoder)
    except Exception as e:  # libraries raise errors of any class for a model that they cannot load
        raise CommandError(f"encoder {args.encoder}: {e}") from e


def collection_of(
    args: argparse.Namespace,
    conn: psycopg.Connection[Any],
    encoder: Encoder | None = None,
    **options: Any,
) -> Collection:
    columns = Columns(
        args.id_column, args.text_column, args.doc_column, args.metadata_column or None
    )
    return Collection(conn, args.table, encoder, columns=columns, id_type=args.id_type, **options)


@contextmanager
def progress_of(args: argparse.Namespace) -> Iterator[Show]:
    """Return a function that shows a line of progress, in place of the one before."""
    terminal = sys.stderr.isatty()
    if not (terminal if args.progress is None else args.progress):
        yield lambda _line: None
        return
    shown = False

    def show(line: str) -> None:
        nonlocal shown
        shown = True
        print(
            f"\r\x1b[K{line}" if terminal else line, end="" if terminal else "\n", file=sys.stderr
        )
        sys.stderr.flush()

    yield show
    if shown and terminal:
        print(file=sys.stderr)


def one_line(text: str, width: int) -> str:
    """Return a text as one line that a terminal can show, at most width characters of it."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= width else line[: max(width - 3, 0)] + "..."
