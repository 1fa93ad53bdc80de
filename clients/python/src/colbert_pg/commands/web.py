"""colbert-pg web: a search page on a table."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from ..web import PageImages, Settings


def add_web(commands: Subcommands) -> None:
    parser = add_command(commands, "web", _web, "serve a search page on a table")
    columns = Columns()
    add_table_name(parser)
    add_column(parser, "--column", columns.doc)
    add_column(parser, "--text", columns.text)
    add_column(parser, "--id-column", columns.id)
    add_column(parser, "--tsv-column", "tsv")
    add_encoder(parser)
    _add_images(parser)
    parser.add_argument(
        "--ranker", type=Path, metavar="FILE", help="a model that ranks in two stages, as of fit"
    )
    parser.add_argument(
        "--queries",
        type=Path,
        metavar="FILE",
        help="a file with a question per line: examples, and those that measure an index",
    )
    parser.add_argument("--note", default="", metavar="TEXT", help="a line under the form")
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


def _add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image", metavar="COLUMN", help="page images (bytea), whose patches are the tokens"
    )
    parser.add_argument(
        "--grid", type=_pair("x"), metavar="ROWSxCOLUMNS", help="of patches on a page"
    )
    parser.add_argument(
        "--extra-tokens",
        type=_pair(","),
        metavar="BEFORE,AFTER",
        help="tokens of a row before and after its patches, as of a prompt; default: 0,0",
    )


def _pair(separator: str) -> Callable[[str], tuple[int, int]]:
    """Return a parser of two numbers."""

    def parse(text: str) -> tuple[int, int]:
        found = re.fullmatch(rf"(\d{{1,6}}){separator}(\d{{1,6}})", text, re.ASCII)
        if found is None:
            example = f"32{separator}32"
            raise argparse.ArgumentTypeError(f"expected two numbers, such as {example}")
        return int(found[1]), int(found[2])

    return parse


def _web(args: argparse.Namespace) -> None:
    try:
        from ..web import create_app, serve  # noqa: PLC0415
        from ..web.errors import PageError  # noqa: PLC0415
        from ..web.searcher import target_of  # noqa: PLC0415
    except ImportError as e:
        raise CommandError(f"{e}\nHINT: pip install 'colbert-pg[web]'") from None
    settings = _settings_of(args)
    encoder = encoder_of(args)
    with connect(args) as conn:
        conn.execute("SET client_encoding = utf8")  # as the pages have it
        try:
            target_of(conn, settings)
        except PageError as e:
            raise CommandError(str(e)) from None
    serve(create_app(encoder, settings), host=args.host, port=args.port)


def _settings_of(args: argparse.Namespace) -> Settings:
    from ..web import Settings  # noqa: PLC0415

    return Settings(
        args.table,
        args.dsn,
        Columns(args.id_column, args.text, args.column, None),
        tsv_column=args.tsv_column,
        ranker=args.ranker and args.ranker.read_text(encoding="utf-8"),
        images=_images_of(args),
        limit=args.limit,
        timeout=args.timeout,
        connections=args.connections,
        queries=_lines(args.queries),
        recall=args.recall,
        tune_timeout=args.tune_timeout,
        note=args.note,
    )


def _images_of(args: argparse.Namespace) -> PageImages | None:
    from ..web import Grid, PageImages  # noqa: PLC0415

    if args.image is None:
        if args.grid is not None or args.extra_tokens is not None:
            raise CommandError("expected --image beside --grid and --extra-tokens")
        return None
    if args.grid is None:
        raise CommandError("expected --grid beside --image")
    return PageImages(args.image, Grid(*args.grid, *(args.extra_tokens or (0, 0))))


def _lines(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip())
