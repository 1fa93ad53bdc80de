"""Embed missing and stale rows, by several workers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from .._progress import Progress, shown
from ..encoders import Encoder
from .encoding import BatchEncoder, Chunking
from .job import Job, one
from .registry import Failure, install, mark_stale, register
from .worker import Task, Worker, connect, logger

BATCH = 32
POLL = 10.0
_SLICE = 0.2  # seconds after which the main thread looks at its workers

OnFailure = Callable[[Failure], None]


@dataclass
class Result:
    """The result of a call of embed."""

    rows: int = 0
    """Rows whose text was encoded."""
    multivectors: int = 0
    """Multivectors written: one per row, or per chunk."""
    failed: int = 0
    """Rows whose text could not be encoded."""


def embed(
    conninfo: str,
    job: Job,
    encoder: Encoder,
    *,
    name: str,
    workers: int = 1,
    batch: int = BATCH,
    follow: bool = False,
    poll: float = POLL,
    triggers: bool = False,
    everything: bool = False,
    retry_failed: bool = False,
    progress: Progress = False,
    on_failure: OnFailure | None = None,
    stop: threading.Event | None = None,
) -> Result:
    """Fill the column of a job where it is missing or stale, and return when no row waits.

    conninfo: of libpq, such as "dbname=docs", for connections of each worker.
    name: of the encoder, with its version; rows of another one, or of other dims, are stale.
    workers: threads with a connection each, which share the encoder. For more, call it in further
    processes, on any machine.
    batch: texts per transaction, and maximum texts per call of the encoder.
    follow: go on with rows that become stale, until stop is set.
    poll: seconds after which followers look, even if no notification comes.
    triggers: install them first.
    everything: all rows are stale. retry_failed: try the rows with an error again.
    progress: True for a bar of tqdm, or a function that gets the number of rows done and the
    number that waited at first.
    on_failure: called with each row whose text could not be encoded.
    stop: an event that ends the call as soon as each worker has finished its batch. An interrupt
    (Ctrl-C) does the same, and is raised again.
    """
    if workers < 1 or batch < 1 or poll <= 0:
        raise ValueError("expected workers and batch of at least 1, and a positive poll")
    stop = stop or threading.Event()
    identity = job.identity(name, encoder.dims)
    with connect(conninfo) as conn:
        statements = register(conn, job, encoder.dims)
        if triggers:
            install(conn, job)
        former = mark_stale(conn, statements, identity, everything=everything, failed=retry_failed)
        total, _ = one(conn, statements.waiting, ())
    if former is not None:
        logger.warning("all rows are stale: the encoder was %s, and is %s", former, identity)
    chunking = None if job.chunks is None else Chunking(job.chunk_size, job.overlap)
    batches = BatchEncoder(encoder, statements.column.element, chunking, batch)
    with shown(progress, None if follow else total, " rows") as show:
        report = _Report(show, on_failure)
        task = Task(conninfo, statements, batches, identity, batch, follow, poll, stop, report)
        _run([Worker(task) for _ in range(workers)], stop)
    return report.result


class _Report:
    """Adds up what workers report, in one thread at a time."""

    def __init__(self, show: Callable[[int], None], on_failure: OnFailure | None) -> None:
        self.result = Result()
        self._show, self._on_failure = show, on_failure
        self._lock = threading.Lock()
        show(0)

    def __call__(self, rows: int, multivectors: int, failures: list[Failure]) -> None:
        with self._lock:
            self.result.rows += rows
            self.result.multivectors += multivectors
            self.result.failed += len(failures)
            self._show(self.result.rows + self.result.failed)
            for failure in failures if self._on_failure else ():
                assert self._on_failure is not None
                self._on_failure(failure)


def _run(workers: list[Worker], stop: threading.Event) -> None:
    """Run workers until all end. If one fails, the others finish their batch."""
    errors: list[BaseException] = []
    ends = [threading.Event() for _ in workers]

    def run(worker: Worker, end: threading.Event) -> None:
        try:
            worker.run()
        except BaseException as e:
            errors.append(e)
            stop.set()
        finally:
            end.set()

    for worker, end in zip(workers, ends, strict=True):
        threading.Thread(target=run, args=(worker, end), daemon=True).start()
    try:
        _await(ends)
    except KeyboardInterrupt:
        stop.set()
        _await(ends)  # a second interrupt does not wait
        raise
    if errors:
        raise errors[0]


def _await(ends: list[threading.Event]) -> None:
    """Wait for events. Thread.join, if it is interrupted before Python 3.13, ends too early."""
    for end in ends:
        while not end.wait(_SLICE):
            pass
