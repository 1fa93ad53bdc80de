"""The command colbert-pg evaluate, whose collection __main__ makes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from ..collection import Collection
from .files import Qrels, read_qrels, read_queries, read_run, write_run
from .measures import MEASURES, Evaluation, compare, evaluate, score
from .recall import index_recall


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command, other than those of the collection."""
    add = parser.add_argument
    add("--queries", required=True, metavar="FILE", help="lines of JSON, or of id, tab and text")
    add("--qrels", metavar="FILE", help="judgements, as files of TREC or BEIR have them")
    add(
        "--measures",
        nargs="+",
        default=list(MEASURES),
        metavar="NAME",
        help=f"names of ir_measures (default: {' '.join(MEASURES)})",
    )
    add("-k", type=int, default=100, help="documents per query (default: 100)")
    add("--save", metavar="FILE", help="write the documents found, as a run of TREC")
    add("--baseline", metavar="FILE", help="compare with a run of TREC")
    add(
        "--index-recall",
        type=int,
        metavar="K",
        help="measure which of the exact K best rows the index returns",
    )
    add("--progress", action="store_true", help="show a bar, by tqdm")


def run(args: argparse.Namespace, collection: Collection) -> None:
    """Run the command, and print what it measures."""
    if not args.qrels and (args.save or args.baseline or not args.index_recall):
        raise ValueError("expected --qrels, or --index-recall alone")
    queries = read_queries(args.queries)
    if args.qrels:
        _evaluate(args, collection, queries, read_qrels(args.qrels))
    if args.index_recall:
        _recall(args.index_recall, collection, list(queries.values()))


def _evaluate(
    args: argparse.Namespace, collection: Collection, queries: Mapping[str, str], qrels: Qrels
) -> None:
    baseline = read_run(args.baseline) if args.baseline else None
    found = evaluate(collection, queries, qrels, args.measures, args.k, progress=args.progress)
    print(found)
    if args.save:
        write_run(found.run, args.save)
    if baseline is not None:
        _compare(
            score(baseline, {query: qrels[query] for query in found.run}, args.measures), found
        )


def _compare(baseline: Evaluation, found: Evaluation) -> None:
    print("\nagainst the baseline:")
    for measure in found.means:
        print(compare(baseline, found, measure))


def _recall(k: int, collection: Collection, texts: list[str]) -> None:
    encoder, statements = collection._do.encoder, collection._do.statements
    if encoder is None:
        raise ValueError("expected a collection with an encoder")
    queries = encoder.encode_query(texts)
    with collection._connection() as conn:
        print(
            index_recall(
                conn,
                statements.table,
                statements.columns.doc,
                queries,
                k,
                similarity=statements.similarity,
            )
        )
