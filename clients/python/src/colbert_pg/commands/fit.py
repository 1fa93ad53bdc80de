"""colbert-pg fit: the weight of MaxSim beside full text, by judgements."""

from __future__ import annotations

import argparse
import dataclasses
import json

from ..evaluate import read_qrels, read_queries
from ..rank import Columns, WeightFit, fit_weight
from .common import (
    Subcommands,
    add_column,
    add_command,
    add_encoder,
    add_progress,
    add_qrels,
    add_queries,
    add_table_name,
    connect,
    encoder_of,
    progress_of,
)


def add_fit(commands: Subcommands) -> None:
    parser = add_command(
        commands, "fit", _fit, "fit the weight of MaxSim beside full text by judgements"
    )
    columns = Columns()
    add_table_name(parser)
    add_column(parser, "--id-column", columns.id)
    add_column(parser, "--doc-column", columns.doc)
    add_column(parser, "--tsv-column", columns.tsv)
    parser.add_argument(
        "--statistics",
        metavar="TABLE",
        help="what bm25_analyze made; default: TABLE_COLUMN_bm25 in the schema of the table",
    )
    add_encoder(parser)
    add_queries(parser)
    add_qrels(parser, required=True)
    for option, default, text in (
        ("--per-side", 50, "candidates by MaxSim, and by full text"),
        ("--folds", 5, "folds of the cross-validation"),
        ("--seed", 0, "seed of the folds and of the bootstrap"),
    ):
        parser.add_argument(
            option, type=int, default=default, metavar="N", help=f"{text}; default: %(default)s"
        )
    parser.add_argument("--json", action="store_true", help="print an object of JSON")
    add_progress(parser)


def _fit(args: argparse.Namespace) -> None:
    queries, qrels = read_queries(args.queries), read_qrels(args.qrels)
    encoder = encoder_of(args)
    with connect(args) as conn, progress_of(args) as show:
        fit = fit_weight(
            conn,
            args.table,
            queries,
            qrels,
            encoder,
            columns=Columns(args.id_column, args.doc_column, args.tsv_column),
            statistics=args.statistics,
            per_side=args.per_side,
            folds=args.folds,
            seed=args.seed,
            progress=lambda done, total: show(f"{done} of {total} queries"),
        )
    print(_json(fit) if args.json else fit)


def _json(fit: WeightFit) -> str:
    return json.dumps({**dataclasses.asdict(fit), "fuse": fit.fuse})
