"""colbert-pg fit: the weight of MaxSim beside full text, or a ranker, by judgements."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from ..evaluate import read_qrels, read_queries
from ..rank import (
    Columns,
    Ranker,
    WeightFit,
    fit_weight,
    train_lambdamart,
    train_logistic,
    training_data,
)
from .common import (
    CommandError,
    Show,
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

Found = TypeVar("Found")
_RANKERS: dict[str, Callable[..., Ranker]] = {
    "logistic": train_logistic,
    "lambdamart": train_lambdamart,
}


def add_fit(commands: Subcommands) -> None:
    parser = add_command(
        commands, "fit", _fit, "fit the weight of MaxSim beside full text, or a ranker"
    )
    columns = Columns()
    add_table_name(parser)
    add_column(parser, "--id-column", columns.id)
    add_column(parser, "--doc-column", columns.doc)
    add_column(parser, "--tsv-column", columns.tsv)
    parser.add_argument(
        "--statistics",
        metavar="TABLE",
        help="table that bm25_analyze made; default: TABLE_COLUMN_bm25 in the schema of the table",
    )
    parser.add_argument(
        "--where", metavar="SQL", help="a condition on the columns of the table, for the candidates"
    )
    add_encoder(parser)
    add_queries(parser)
    add_qrels(parser, required=True)
    parser.add_argument(
        "--topics",
        metavar="FILE",
        help="the topic of each query, as --queries has its text; those of one are in one fold",
    )
    for option, default, text in (
        ("--per-side", 50, "candidates by MaxSim, and by full text"),
        ("--folds", 5, "folds of the cross-validation"),
        ("--seed", 0, "seed of the folds and of the bootstrap"),
    ):
        parser.add_argument(
            option, type=int, default=default, metavar="N", help=f"{text}; default: %(default)s"
        )
    parser.add_argument("--ranker", choices=list(_RANKERS), help="train a ranker, not a weight")
    parser.add_argument(
        "--feature",
        action="append",
        default=[],
        type=_feature,
        metavar="NAME=SQL",
        help="one more feature of the ranker, over the columns of the table; it may have "
        "%%(text)s and %%(doc)s, the query, and a percent sign is written twice; may be repeated",
    )
    parser.add_argument("--model", metavar="FILE", help="write the ranker, as rank_model reads it")
    parser.add_argument("--json", action="store_true", help="print an object of JSON")
    add_progress(parser)


def _feature(text: str) -> tuple[str, str]:
    name, equals, expression = text.partition("=")
    if not (equals and expression.strip()):
        raise argparse.ArgumentTypeError(f"expected NAME=SQL, not {text!r}")
    return name, expression


def _fit(args: argparse.Namespace) -> None:
    if not args.ranker and (args.feature or args.model):
        raise CommandError("--feature and --model need --ranker")
    names = [name for name, _ in args.feature]
    if len(set(names)) < len(names):
        raise CommandError("expected different names of --feature")
    topics = read_queries(args.topics) if args.topics else None
    try:
        with progress_of(args) as show:
            fitted = _ranker(args, topics, show) if args.ranker else _weight(args, topics, show)
    except psycopg.errors.UndefinedTable as e:
        raise CommandError(
            f"{e.diag.message_primary}\n"
            "HINT: bm25_analyze('TABLE', 'COLUMN') makes the statistics TABLE_COLUMN_bm25."
        ) from None
    print(_json(fitted) if args.json else fitted)


def _weight(args: argparse.Namespace, topics: dict[str, str] | None, show: Show) -> WeightFit:
    return _with_table(fit_weight, args, show, topics=topics, folds=args.folds, seed=args.seed)


def _ranker(args: argparse.Namespace, topics: dict[str, str] | None, show: Show) -> Ranker:
    data = _with_table(training_data, args, show, features=dict(args.feature))
    show(f"training by {len(data.documents)} candidates of {len(data.groups)} queries")
    ranker = _RANKERS[args.ranker](data, topics=topics, folds=args.folds, seed=args.seed)
    if args.model:
        Path(args.model).write_text(ranker.export(), encoding="utf-8")
    return ranker


def _with_table(
    function: Callable[..., Found], args: argparse.Namespace, show: Show, **options: Any
) -> Found:
    """Call fit_weight or training_data."""
    queries, qrels = read_queries(args.queries), read_qrels(args.qrels)
    encoder = encoder_of(args)
    with connect(args) as conn:
        return function(
            conn,
            args.table,
            queries,
            qrels,
            encoder,
            columns=Columns(args.id_column, args.doc_column, args.tsv_column),
            statistics=args.statistics,
            per_side=args.per_side,
            where=args.where and args.where.replace("%", "%%"),
            progress=lambda done, total: show(f"{done} of {total} queries"),
            **options,
        )


def _json(fitted: WeightFit | Ranker) -> str:
    members = {
        field.name: getattr(fitted, field.name)
        for field in dataclasses.fields(fitted)
        if field.name != "model"
    }
    if isinstance(fitted, WeightFit):
        members["fuse"] = fitted.fuse
    return json.dumps(members, default=dataclasses.asdict)
