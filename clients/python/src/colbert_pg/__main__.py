"""colbert-pg: load, embed, train, index, search, explain, tune, evaluate, fit, web in a shell."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand, and return the exit status."""
    try:
        import psycopg  # noqa: PLC0415
    except ImportError as e:
        print(
            f"colbert-pg: error: {e}\nHINT: pip install 'colbert-pg[psycopg]' 'psycopg[binary]'",
            file=sys.stderr,
        )
        return FAILED
    from .commands.common import CommandError  # noqa: PLC0415

    args = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except psycopg.Error as e:
        print(f"colbert-pg: error: {_described(e)}", file=sys.stderr)
        return FAILED
    except (CommandError, ImportError, LookupError, OSError, RuntimeError, ValueError) as e:
        print(f"colbert-pg: error: {e}", file=sys.stderr)
        return FAILED
    return 0


def _described(error: psycopg.Error) -> str:
    """Return what psql would print, and the SQLSTATE."""
    diag = error.diag
    if diag.message_primary is None:  # the client's error, such as one of connecting
        return str(error).strip()
    lines = [f"{diag.message_primary} (SQLSTATE {diag.sqlstate})"]
    lines += [f"DETAIL: {diag.message_detail}"] if diag.message_detail else []
    lines += [f"HINT: {diag.message_hint}"] if diag.message_hint else []
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    from .commands import (  # noqa: PLC0415
        embed,
        evaluate,
        explain,
        fit,
        index,
        load,
        search,
        train,
        tune,
        web,
    )

    parser = argparse.ArgumentParser(
        prog="colbert-pg",
        description="Late-interaction (ColBERT, MaxSim) search in PostgreSQL.",
        epilog="The exit status is 0 if the command has done its work, 1 if not, and 2 for wrong "
        "arguments. colbert-pg COMMAND --help describes a command.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    load.add_load(commands)
    embed.add_embed(commands)
    index.add_index(commands)
    search.add_search(commands)
    explain.add_explain(commands)
    train.add_train(commands)
    tune.add_tune(commands)
    evaluate.add_evaluate(commands)
    fit.add_fit(commands)
    web.add_web(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
