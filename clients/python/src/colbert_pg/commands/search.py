"""colbert-pg search: the best rows for a text."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, get_args

from ..collection import FullText, Hit, Mode, Where
from .common import (
    CommandError,
    Subcommands,
    add_column,
    add_command,
    add_encoder,
    add_similarity,
    add_table,
    collection_of,
    connect,
    encoder_of,
    one_line,
)


def add_search(commands: Subcommands) -> None:
    parser = add_command(commands, "search", _search, "search a table for the best rows for a text")
    parser.add_argument("query")
    add_table(parser)
    add_similarity(parser)
    add_encoder(parser, required=False)
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--mode",
        choices=get_args(Mode),
        default="maxsim",
        help="rank by meaning, by words, or by both; default: %(default)s",
    )
    parser.add_argument(
        "--weight", type=float, metavar="W", help="of MaxSim in --mode hybrid; default: 0.8"
    )
    parser.add_argument(
        "--ranker", type=Path, metavar="FILE", help="a model that ranks in --mode hybrid instead"
    )
    add_column(parser, "--tsv-column", FullText().column)
    add_where(parser)
    parser.add_argument(
        "--json", action="store_true", help="print a line of JSON per hit, not a table"
    )


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add the options that select rows."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--where", metavar="SQL", help="a condition on the columns of the table")
    group.add_argument("--metadata", metavar="JSON", help="an object that the metadata contains")


def where_of(args: argparse.Namespace) -> Where | None:
    if args.where is not None:
        return str(args.where).replace("%", "%%")
    if args.metadata is None:
        return None
    try:
        found = json.loads(args.metadata)
    except ValueError as e:
        raise CommandError(f"--metadata: {e}") from None
    if not isinstance(found, dict):
        raise CommandError(f"--metadata: expected an object, not {args.metadata}")
    return found


def _search(args: argparse.Namespace) -> None:
    where = where_of(args)
    with connect(args) as conn:
        if args.encoder is None and args.mode != "text":
            raise CommandError("expected --encoder")
        encoder = None if args.mode == "text" else encoder_of(args)
        full_text = None if args.mode == "maxsim" else FullText(column=args.tsv_column)
        collection = collection_of(
            args, conn, encoder, similarity=args.similarity, full_text=full_text
        )
        hits = collection.search(
            args.query,
            args.limit,
            mode=args.mode,
            weight=args.weight,
            ranker=None if args.ranker is None else args.ranker.read_text(encoding="utf-8"),
            where=where,
        )
    for line in map(_json, hits) if args.json else _table(hits):
        print(line)


def _json(hit: Hit) -> str:
    found: dict[str, Any] = dataclasses.asdict(hit)
    members = {name: value for name, value in found.items() if value is not None}
    return json.dumps(members, ensure_ascii=False)


def _table(hits: list[Hit]) -> list[str]:
    ids = [one_line(hit.id, 40) for hit in hits]
    width = max([len("id"), *map(len, ids)])
    rest = max(shutil.get_terminal_size().columns - width - 12, 20)
    lines = [f"{'score':>8}  {'id':<{width}}  text"]
    for key, hit in zip(ids, hits, strict=True):
        lines.append(f"{hit.score:8.4f}  {key:<{width}}  {one_line(hit.text, rest)}".rstrip())
    return lines
