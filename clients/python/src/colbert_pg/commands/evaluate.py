"""colbert-pg evaluate: measures of a search by judgements, and the recall of an index."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import psycopg

from ..collection import Collection
from ..encoders import Encoder
from ..evaluate import (
    MEASURES,
    Qrels,
    compare,
    evaluate,
    index_recall,
    read_qrels,
    read_queries,
    read_run,
    score,
    write_run,
)
from .common import (
    CommandError,
    Subcommands,
    add_command,
    add_encoder,
    add_progress,
    add_qrels,
    add_queries,
    add_similarity,
    add_table,
    collection_of,
    connect,
    encoder_of,
    progress_of,
)


def add_evaluate(commands: Subcommands) -> None:
    parser = add_command(
        commands,
        "evaluate",
        _evaluate,
        "measure a search by judgements, or an index by exact scores",
    )
    add_table(parser)
    add_similarity(parser)
    add_encoder(parser)
    add_queries(parser)
    add_qrels(parser, required=False)
    parser.add_argument(
        "--measures",
        nargs="+",
        default=list(MEASURES),
        metavar="NAME",
        help=f"names of ir_measures; default: {' '.join(MEASURES)}",
    )
    parser.add_argument(
        "--limit", type=int, default=100, metavar="K", help="hits per query; default: %(default)s"
    )
    parser.add_argument("--save", metavar="FILE", help="write the hits, as a run of TREC")
    parser.add_argument("--baseline", metavar="FILE", help="compare with a run of TREC")
    parser.add_argument(
        "--index-recall",
        type=int,
        metavar="K",
        help="measure how many of the K best rows the index finds",
    )
    add_progress(parser)


def _evaluate(args: argparse.Namespace) -> None:
    if not args.qrels and (args.save or args.baseline or not args.index_recall):
        raise CommandError("expected --qrels, or --index-recall alone")
    queries = read_queries(args.queries)
    qrels = read_qrels(args.qrels) if args.qrels else None
    encoder = encoder_of(args)
    with connect(args) as conn:
        if qrels is not None:
            collection = collection_of(args, conn, encoder, similarity=args.similarity)
            _measure(args, collection, queries, qrels)
        if args.index_recall:
            _recall(args, conn, encoder, list(queries.values()))


def _measure(
    args: argparse.Namespace, collection: Collection, queries: Mapping[str, str], qrels: Qrels
) -> None:
    baseline = read_run(args.baseline) if args.baseline else None
    with progress_of(args) as show:
        found = evaluate(
            collection,
            queries,
            qrels,
            args.measures,
            args.limit,
            progress=lambda done, total: show(f"{done} of {total} queries"),
        )
    print(found)
    if args.save:
        write_run(found.run, args.save)
    if baseline is not None:
        before = score(baseline, {query: qrels[query] for query in found.run}, args.measures)
        print("\nagainst the baseline:")
        for measure in found.means:
            print(compare(before, found, measure))


def _recall(
    args: argparse.Namespace, conn: psycopg.Connection[Any], encoder: Encoder, texts: list[str]
) -> None:
    print(
        index_recall(
            conn,
            args.table,
            args.doc_column,
            encoder.encode_query(texts),
            args.index_recall,
            similarity=args.similarity,
        )
    )
