"""colbert-pg train: centroids of an index, trained outside the server."""

from __future__ import annotations

import argparse
from typing import Any

import psycopg

from ..gpu import Trained, train
from ..gpu.kmeans import ITERATIONS, TOKENS_PER_LIST
from ..gpu.train import OPERATOR_CLASSES
from .common import (
    Subcommands,
    add_column,
    add_command,
    add_progress,
    add_similarity,
    add_table_name,
    connect,
    progress_of,
)


def add_train(commands: Subcommands) -> None:
    parser = add_command(
        commands, "train", _train, "train the centroids of an index on a GPU or a CPU"
    )
    add_table_name(parser)
    add_column(parser, "--column", "doc")
    parser.add_argument("--lists", required=True, type=int, metavar="N", help="centroids wanted")
    parser.add_argument(
        "--into",
        metavar="TABLE",
        help="table of the centroids, or SCHEMA.TABLE; default: TABLE_COLUMN_centroids",
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace the rows of the table, if it exists"
    )
    add_similarity(parser)
    parser.add_argument(
        "--device",
        default="cpu",
        metavar="NAMES",
        help="numpy, cpu, cuda, cuda:1 and so on, or several with commas; default: %(default)s",
    )
    parser.add_argument(
        "--tokens-per-list",
        type=int,
        default=TOKENS_PER_LIST,
        metavar="N",
        help="size of the sample; default: %(default)s",
    )
    parser.add_argument(
        "--iterations", type=int, default=ITERATIONS, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--batch",
        type=int,
        metavar="N",
        help="tokens per list of a random batch per iteration; by default, the whole sample",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    add_progress(parser)


def _train(args: argparse.Namespace) -> None:
    with connect(args) as conn, progress_of(args) as show:
        done = train(
            conn,
            args.table,
            args.column,
            lists=args.lists,
            into=args.into,
            similarity=args.similarity,
            devices=args.device.split(","),
            tokens_per_list=args.tokens_per_list,
            iterations=args.iterations,
            batch=args.batch,
            seed=args.seed,
            replace=args.replace,
            progress=show,
        )
        table = ".".join(_quoted(conn, part) for part in args.table.split("."))
        column = _quoted(conn, args.column)
    print(_summary(args, done, table, column))


def _quoted(conn: psycopg.Connection[Any], name: str) -> str:
    """Return a name as a statement needs it: quoted if it is a keyword or has other letters."""
    row = conn.execute("SELECT pg_catalog.quote_ident(%s)", (name,)).fetchone()
    return str(row[0]) if row else name


def _summary(args: argparse.Namespace, done: Trained, table: str, column: str) -> str:
    literal = done.table.replace("'", "''")
    return (
        f"{done.centroids} centroids and {done.parents} parents of {done.sampled} tokens, sampled "
        f"from {done.tokens} of {done.documents} documents\n"
        f"read {done.read_seconds:.1f} s, trained {done.train_seconds:.1f} s, "
        f"written {done.write_seconds:.1f} s\n"
        f"CREATE INDEX ON {table} USING colbert_ivf ({column} "
        f"{OPERATOR_CLASSES[args.similarity]}) WITH (centroids = '{literal}');"
    )
