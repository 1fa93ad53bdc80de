"""colbert-pg explain: which words of a hit match a query."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..explain import Explanation, printable
from .common import (
    CommandError,
    Subcommands,
    add_command,
    add_encoder,
    add_table,
    collection_of,
    connect,
    encoder_of,
)
from .search import add_where, where_of

_PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>colbert-pg explain</title></head>
<body>{}</body></html>
"""


def add_explain(commands: Subcommands) -> None:
    parser = add_command(
        commands, "explain", _explain, "show which words of the best row match a text"
    )
    parser.add_argument("query")
    add_table(parser)
    add_encoder(parser)
    parser.add_argument("--id", help="the row to explain, instead of the best one")
    add_where(parser)
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page instead")
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="color the words that match; auto: if the output is a terminal",
    )


def _explain(args: argparse.Namespace) -> None:
    where = where_of(args)
    if args.id is not None and where is not None:
        raise CommandError("expected --id, or a condition, not both")
    with connect(args) as conn:
        collection = collection_of(args, conn, encoder_of(args))
        if args.id is None:
            hits = collection.search(args.query, 1, where=where, doc=True)
            if not hits:
                raise CommandError(f"no row of table {args.table} is found")
            explanation = collection.explain(args.query, hits[0])
        else:
            explanation = collection.explain(args.query, args.id)
    if args.html is None:
        print(_text(explanation, args.color))
    else:
        args.html.write_text(_PAGE.format(explanation.to_html()), encoding="utf-8")


def _text(explanation: Explanation, color: str) -> str:
    colored = sys.stdout.isatty() if color == "auto" else color == "always"
    shown = explanation.to_terminal() if colored else printable(explanation.text)
    return f"{shown}\n{explanation}"
