"""colbert-pg embed: keep embeddings in step with text."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

from ..embed import Failure, Job, embed, failures, install, status, uninstall
from ..multivector import Element
from .common import (
    CommandError,
    Subcommands,
    add_command,
    add_encoder,
    add_progress,
    connect,
    encoder_of,
    one_line,
    progress_of,
)

_WIDTH = 1000
# Options of an encoder, and addresses, that do not change its results.
_OF_NO_EFFECT = (
    *("batch_size=", "threads=", "timeout=", "api_key_env="),
    *("http://", "https://"),
)


def add_embed(commands: Subcommands) -> None:
    parser = add_command(
        commands, "embed", _embed, "fill embeddings that are missing, or whose text changed"
    )
    parser.add_argument("--table", required=True, help="table of texts, or SCHEMA.TABLE")
    parser.add_argument("--text", default="body", metavar="COLUMN", help="default: %(default)s")
    parser.add_argument("--column", default="doc", metavar="COLUMN", help="default: %(default)s")
    add_encoder(parser, required=False)
    parser.add_argument(
        "--encoder-name",
        metavar="NAME",
        help="name and version of the encoder: when it changes, all rows are stale; default: "
        "that of --encoder",
    )
    _add_chunks(parser)
    _add_work(parser)
    parser.add_argument(
        "--install",
        action="store_true",
        help="install triggers that notice changed texts; without --encoder, nothing else is done",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--uninstall", action="store_true", help="remove the triggers and the queue, and stop"
    )
    instead.add_argument(
        "--status", action="store_true", help="print how it stands, and the failed rows, and stop"
    )


def _add_chunks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--chunks",
        metavar="TABLE",
        help="cut texts into chunks, and keep their embeddings in this table, in --column; without "
        "it, a text that is too long fails",
    )
    parser.add_argument(
        "--element",
        choices=get_args(Element),
        default=Job.element,
        help="of that table if it is created; default: %(default)s",
    )
    parser.add_argument(
        "--chunk-size",
        type=int,
        metavar="N",
        help="maximum characters per chunk; default: only the encoder's window limits it",
    )
    parser.add_argument(
        "--overlap",
        type=int,
        default=Job.overlap,
        metavar="N",
        help="maximum characters that a chunk repeats of the one before; default: %(default)s",
    )


def _add_work(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="batches at a time, with a connection each; default: %(default)s",
    )
    parser.add_argument(
        "--batch", type=int, default=32, metavar="N", help="rows per batch; default: %(default)s"
    )
    parser.add_argument(
        "--follow", action="store_true", help="go on with rows that change, until interrupted"
    )
    parser.add_argument(
        "--poll",
        type=float,
        default=10,
        metavar="SECONDS",
        help="with --follow, look for rows at least this often; default: %(default)s",
    )
    parser.add_argument("--all", action="store_true", help="embed all rows again")
    parser.add_argument("--retry-failed", action="store_true", help="try failed rows again")
    add_progress(parser)


def _embed(args: argparse.Namespace) -> None:
    job = Job(
        args.table,
        text=args.text,
        column=args.column,
        chunks=args.chunks,
        element=args.element,
        chunk_size=args.chunk_size,
        overlap=args.overlap,
    )
    if args.encoder is not None and not (args.uninstall or args.status):
        _work(args, job)
        return
    if not (args.install or args.uninstall or args.status):
        raise CommandError("expected --encoder, --install, --uninstall or --status")
    with connect(args) as conn:
        if args.install:
            install(conn, job)
        if args.uninstall:
            uninstall(conn, job)
        if args.status:
            _print_status(conn, job)


def _work(args: argparse.Namespace, job: Job) -> None:
    if args.chunks and "too_long=truncate" in args.encoder:
        raise CommandError("expected an encoder without too_long=truncate beside --chunks")
    encoder = encoder_of(args)
    with progress_of(args) as show, _ended_by_sigterm():
        result = embed(
            args.dsn,
            job,
            encoder,
            name=args.encoder_name or name_of(args.encoder),
            workers=args.workers,
            batch=args.batch,
            follow=args.follow,
            poll=args.poll,
            triggers=args.install,
            everything=args.all,
            retry_failed=args.retry_failed,
            progress=lambda done, total: show(
                f"{done} rows done" if total is None else f"{done} of {total} rows done"
            ),
            on_failure=_print_failure,
        )
    print(f"{result.rows} rows embedded, {result.multivectors} multivectors written")
    if result.failed:
        raise CommandError(f"{result.failed} rows failed")


def name_of(spec: str) -> str:
    """Return a specification of an encoder without options that do not change its results."""
    kind, _, rest = spec.partition(":")
    parts = [part for part in rest.split(",") if part and not part.startswith(_OF_NO_EFFECT)]
    return f"{kind}:{','.join(parts)}" if parts else kind


def _print_failure(failure: Failure) -> None:
    print(one_line(str(failure), _WIDTH), file=sys.stderr, flush=True)


def _print_status(conn: Any, job: Job) -> None:
    found = status(conn, job)
    print(f"encoder: {one_line(found.encoder or 'none yet', _WIDTH)}")
    print(f"triggers: {'installed' if found.installed else 'not installed, or disabled'}")
    print(f"queue: {one_line(found.queue, _WIDTH)}")
    print(f"waiting: {found.waiting}")
    print(f"failed: {found.failed}")
    for failure in failures(conn, job):
        print(f"  {one_line(str(failure), _WIDTH)}")


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, which service managers send, act as an interrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
