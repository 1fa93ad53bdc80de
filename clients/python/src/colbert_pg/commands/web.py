"""colbert-pg web: a search page on a table."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..collection import Columns
from .common import (
    CommandError,
    Subcommands,
    add_column,
    add_command,
    add_encoder,
    add_table_name,
    connect,
    encoder_of,
)


def add_web(commands: Subcommands) -> None:
    parser = add_command(commands, "web", _web, "serve a search page on a table")
    columns = Columns()
    add_table_name(parser)
    add_column(parser, "--column", columns.doc)
    add_column(parser, "--text", columns.text)
    add_column(parser, "--id-column", columns.id)
    add_column(parser, "--tsv-column", "tsv")
    add_encoder(parser)
    parser.add_argument(
        "--ranker", type=Path, metavar="FILE", help="a model that ranks in two stages, as of fit"
    )
    parser.add_argument(
        "--queries",
        type=Path,
        metavar="FILE",
        help="a file with a question per line: examples, and those that measure an index",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    for option, kind, default, text in (
        ("--port", int, 8080, "0 for any that is free"),
        ("--limit", int, 10, "hits per ranking"),
        ("--timeout", float, 5, "seconds per statement"),
        ("--connections", int, 4, "maximum connections"),
        ("--recall", float, 0.95, "to be reached when an index is measured"),
        ("--tune-timeout", float, 120, "seconds of such a measurement"),
    ):
        parser.add_argument(
            option, type=kind, default=default, metavar="N", help=f"{text}; default: %(default)s"
        )


def _web(args: argparse.Namespace) -> None:
    try:
        from ..web import Settings, create_app, serve  # noqa: PLC0415
        from ..web.errors import PageError  # noqa: PLC0415
        from ..web.searcher import target_of  # noqa: PLC0415
    except ImportError as e:
        raise CommandError(f"{e}\nHINT: pip install 'colbert-pg[web]'") from None
    settings = Settings(
        args.table,
        args.dsn,
        Columns(args.id_column, args.text, args.column, None),
        tsv_column=args.tsv_column,
        ranker=args.ranker and args.ranker.read_text(encoding="utf-8"),
        limit=args.limit,
        timeout=args.timeout,
        connections=args.connections,
        queries=_lines(args.queries),
        recall=args.recall,
        tune_timeout=args.tune_timeout,
    )
    encoder = encoder_of(args)
    with connect(args) as conn:
        try:
            target_of(conn, settings)
        except PageError as e:
            raise CommandError(str(e)) from None
    serve(create_app(encoder, settings), host=args.host, port=args.port)


def _lines(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip())
