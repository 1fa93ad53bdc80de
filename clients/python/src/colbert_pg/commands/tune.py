"""colbert-pg tune: the cheapest settings of an index that reach a recall."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..admin import Trial, tune
from .common import CommandError, Subcommands, add_command, add_encoder, connect, encoder_of

_SETTINGS = ("target", "probes", "ef_search", "candidates", "rerank")


def add_tune(commands: Subcommands) -> None:
    parser = add_command(
        commands, "tune", _tune, "measure an index on queries, and propose settings for a recall"
    )
    parser.add_argument("index", help="name of the index, as in SQL")
    parser.add_argument(
        "--queries", required=True, metavar="FILE", type=Path, help="a file with a query per line"
    )
    add_encoder(parser)
    parser.add_argument(
        "--recall", type=float, default=0.95, metavar="R", help="default: %(default)s"
    )
    parser.add_argument(
        "--limit", type=int, default=10, metavar="K", help="hits per query; default: %(default)s"
    )
    parser.add_argument(
        "--exact", metavar="TABLE", help="a table of the exact answers, which are else computed"
    )
    parser.add_argument("--apply", action="store_true", help="set the options of the index")


def _tune(args: argparse.Namespace) -> None:
    texts = [line for line in args.queries.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not texts:
        raise CommandError(f"{args.queries}: expected a query per line")
    queries = encoder_of(args).encode_query(texts)
    with connect(args) as conn:
        trials = tune(
            conn,
            args.index,
            queries,
            target_recall=args.recall,
            k=args.limit,
            apply=args.apply,
            exact=args.exact,
        )
    for line in _table(trials):
        print(line)
    chosen = next((trial for trial in trials if trial.chosen), None)
    if chosen is None:
        raise CommandError(f"no settings reach a recall of {args.recall}")
    partitions = [trial.partition for trial in trials if trial.partition is not None]
    for index in partitions or [args.index]:
        print(_statement(index, chosen))


def _table(trials: list[Trial]) -> list[str]:
    names = [*_SETTINGS, "recall", "ms", "chosen"]
    lines = ["  ".join(f"{name:>10}" for name in names)]
    if any(trial.partition is not None for trial in trials):
        lines[0] += "  partition"
    for trial in trials:
        values = [getattr(trial, name) for name in _SETTINGS]
        cells = ["" if value is None else str(value) for value in values]
        cells += [f"{trial.recall:.3f}", f"{trial.ms:.2f}", "yes" if trial.chosen else ""]
        cells += [] if trial.partition is None else [trial.partition]
        lines.append("  ".join(f"{cell:>10}" for cell in cells).rstrip())
    return lines


def _statement(index: str, chosen: Trial) -> str:
    """Return the statement that applies settings. Those that are 0 are left to the index."""
    values = chosen.options
    actions = []
    reset = [name for name, value in values.items() if value == 0]
    if reset:
        actions.append(f"RESET ({', '.join(reset)})")
    changed = [f"{name} = {value:.10g}" for name, value in values.items() if value]
    if changed:
        actions.append(f"SET ({', '.join(changed)})")
    return f"ALTER INDEX {index} {', '.join(actions)};"
