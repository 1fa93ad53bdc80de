"""Embeddings follow texts, whoever writes to the table, and whatever ends a worker."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from embedding import JOB, Connection, Gate, connected, count, run, wait_for
from fake_encoder import FakeEncoder
from psycopg import sql
from typing_extensions import LiteralString

from colbert_pg import MultiVector
from colbert_pg.embed import (
    EmbedError,
    EncoderChangedError,
    EncoderFailedError,
    Failure,
    Job,
    Result,
    embed,
    failures,
    install,
    registry,
    status,
    uninstall,
    worker,
)
from colbert_pg.encoders import ServerError
from colbert_pg.psycopg import register_multivector

TESTS = Path(__file__).parent


@pytest.fixture
def conn(database: str) -> Iterator[Connection]:
    with connected(database) as conn:
        yield conn


def fill(conn: Connection, count: int) -> None:
    conn.execute(
        "INSERT INTO docs SELECT n, 'text of row ' || n FROM generate_series(1, %s) n", (count,)
    )


def doc_of(conn: Connection, row: int) -> MultiVector | None:
    found = conn.execute("SELECT doc FROM docs WHERE id = %s", (row,)).fetchone()
    assert found is not None
    doc: MultiVector | None = found[0]
    return doc


def expected(text: str) -> MultiVector:
    return MultiVector(FakeEncoder().encode_document(text), "float2")


def is_in_step(conn: Connection) -> bool:
    rows = conn.execute("SELECT body, doc FROM docs").fetchall()
    return all(doc == (None if body is None else expected(body)) for body, doc in rows)


def test_missing_embeddings_are_filled(conn: Connection, encoder: FakeEncoder) -> None:
    fill(conn, 25)
    conn.execute("INSERT INTO docs VALUES (26, NULL)")
    assert run(conn, encoder, batch=10) == Result(25, 25, 0)
    assert is_in_step(conn)
    assert len(encoder.encoded) == 25
    assert run(conn, encoder) == Result(0, 0, 0)
    state = status(conn, JOB)
    assert (state.encoder, state.waiting, state.failed) == ("fake (8 dims)", 0, 0)
    assert not state.installed


def test_workers_encode_each_row_once(conn: Connection, encoder: FakeEncoder) -> None:
    fill(conn, 200)
    encoder.before = lambda _texts: time.sleep(0.01)
    assert run(conn, encoder, workers=4, batch=7) == Result(200, 200, 0)
    assert sorted(encoder.encoded) == sorted({f"text of row {n}" for n in range(1, 201)})
    assert is_in_step(conn)


def test_tables_of_a_schema_are_registered_at_once(conn: Connection, encoder: FakeEncoder) -> None:
    conn.execute("CREATE SCHEMA busy")
    tables = [f"busy.t{n}" for n in range(4)]
    for table in tables:
        conn.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, body text, doc multivector)")
    failed: list[BaseException] = []
    barrier = threading.Barrier(len(tables))

    def work(table: str) -> None:
        try:
            barrier.wait()
            embed(conn.info.dsn, Job(table), encoder, name="fake")
            with psycopg.connect(conn.info.dsn, autocommit=True) as own:
                uninstall(own, Job(table))
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=work, args=(table,)) for table in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    conn.execute("DROP SCHEMA busy CASCADE")


def start(conn: Connection, seconds: float, **options: Any) -> subprocess.Popen[str]:
    """Start a process that embeds when it gets a line."""
    pairs = [f"{name}={json.dumps(value)}" for name, value in options.items()]
    process = subprocess.Popen(
        [sys.executable, str(TESTS / "embed_process.py"), conn.info.dsn, str(seconds), *pairs],
        env={**os.environ, "PYTHONPATH": f"{TESTS.parent / 'src'}:{TESTS}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def lines_of(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return out.splitlines()


def test_processes_encode_each_row_once(conn: Connection) -> None:
    fill(conn, 60)
    processes = [start(conn, 0.02, workers=2, batch=5) for _ in range(2)]
    for process in processes:
        begin(process)
    seen = [lines_of(process) for process in processes]
    assert all(seen)
    assert sorted(seen[0] + seen[1]) == sorted({f"text of row {n}" for n in range(1, 61)})
    assert is_in_step(conn)


def test_a_killed_process_loses_nothing(conn: Connection, encoder: FakeEncoder) -> None:
    fill(conn, 30)
    with start(conn, 0.05, batch=10) as process:
        begin(process)
        assert process.stdout is not None
        for _ in range(15):  # in the middle of the second batch
            process.stdout.readline()
        process.kill()
    wait_for(lambda: count(conn, "SELECT FROM pg_stat_activity WHERE state LIKE 'idle in%'") == 0)
    assert count(conn, "SELECT FROM docs WHERE doc IS NOT NULL") == 10
    assert status(conn, JOB).waiting == 20
    assert run(conn, encoder) == Result(20, 20, 0)
    assert is_in_step(conn)


@contextmanager
def following(
    conn: Connection, encoder: FakeEncoder, job: Job = JOB, **options: Any
) -> Iterator[Future[Result]]:
    """Embed in a thread, until the block ends."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        options = {"follow": True, "poll": 60, "triggers": True, **options}
        future = pool.submit(run, conn, encoder, job, stop=stop, **options)
        try:
            yield future
        finally:
            stop.set()
            future.result(30)


EDITS = """
    UPDATE docs SET body = 'another text' WHERE id = 1;
    UPDATE docs SET body = 'b' WHERE id = 2;
    UPDATE docs SET body = 'c' WHERE id = 2;
    INSERT INTO docs VALUES (3, 'x') ON CONFLICT (id) DO UPDATE SET body = 'upserted';
    UPDATE docs SET body = NULL WHERE id = 4;
    DELETE FROM docs WHERE id = 5;
    DELETE FROM docs WHERE id = 6;
    INSERT INTO docs VALUES (6, 'new');
    UPDATE docs SET id = 17, body = 'moved' WHERE id = 7;
    UPDATE docs SET id = 18 WHERE id = 8;
    UPDATE docs SET note = 'seen' WHERE id = 9;
"""


@pytest.mark.parametrize("edits", [EDITS, "TRUNCATE docs; INSERT INTO docs VALUES (1, 'new')"])
@pytest.mark.parametrize("triggers", [True, False])
def test_edits_while_the_rows_are_encoded(
    conn: Connection, encoder: FakeEncoder, edits: LiteralString, triggers: bool
) -> None:
    """The embedding of a former text is not written over an edit, nor passes for fresh."""
    fill(conn, 10)
    gate = Gate(encoder)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run, conn, encoder, triggers=triggers)
        assert gate.reached.wait(30)
        conn.execute("BEGIN; " + edits + "; COMMIT")
        gate.opened.set()
        future.result(30)
    run(conn, encoder)  # without triggers, it finds missing rows
    assert is_in_step(conn)


def test_an_edit_that_commits_after_the_batch(conn: Connection, encoder: FakeEncoder) -> None:
    """A row that is locked when its embedding is ready is waited for by nobody else."""
    fill(conn, 3)
    gate = Gate(encoder)
    with psycopg.connect(conn.info.dsn) as other, ThreadPoolExecutor(1) as pool:
        future = pool.submit(run, conn, encoder, triggers=True)
        assert gate.reached.wait(30)
        other.execute("UPDATE docs SET body = 'uncommitted' WHERE id = 2")
        gate.opened.set()
        wait_for(lambda: count(conn, "SELECT FROM docs WHERE doc IS NOT NULL") == 2)
        assert not future.done()
        other.commit()
        future.result(30)
    assert doc_of(conn, 2) == expected("uncommitted")
    assert is_in_step(conn)


def test_an_old_embedding_serves_until_the_new_one(conn: Connection, encoder: FakeEncoder) -> None:
    fill(conn, 2)
    run(conn, encoder, triggers=True)
    conn.execute("UPDATE docs SET body = 'edited' WHERE id = 1")
    assert doc_of(conn, 1) == expected("text of row 1")
    assert status(conn, JOB).waiting == 1
    run(conn, encoder)
    assert doc_of(conn, 1) == expected("edited")


def test_writes_that_change_no_text(conn: Connection, encoder: FakeEncoder) -> None:
    fill(conn, 2)
    run(conn, encoder, triggers=True)
    conn.execute("UPDATE docs SET body = body")
    conn.execute("UPDATE docs SET note = 'seen'")
    conn.execute("""
        INSERT INTO docs VALUES (1, 'text of row 1')
        ON CONFLICT (id) DO UPDATE SET body = excluded.body
    """)
    conn.execute("INSERT INTO docs VALUES (3, NULL)")
    conn.execute("INSERT INTO docs SELECT 4, body, doc FROM docs WHERE id = 1")  # with embedding
    assert status(conn, JOB).waiting == 0
    conn.execute("UPDATE docs SET doc = NULL WHERE id = 2")  # on request
    assert status(conn, JOB).waiting == 1


def test_followers_are_notified(conn: Connection, encoder: FakeEncoder) -> None:
    fill(conn, 3)
    with following(conn, encoder, workers=2):
        wait_for(lambda: status(conn, JOB).installed if registered(conn) else False)
        wait_for(lambda: status(conn, JOB).waiting == 0)
        with conn.cursor().copy("COPY docs (id, body) FROM STDIN") as copy:
            for n in range(10, 20):
                copy.write_row((n, f"copied {n}"))
        wait_for(lambda: count(conn, "SELECT FROM docs WHERE doc IS NULL") == 0)
        conn.execute("UPDATE docs SET body = 'edited' WHERE id = 2")
        wait_for(lambda: is_in_step(conn))


def registered(conn: Connection) -> bool:
    return count(conn, "SELECT WHERE to_regclass('colbert_pg_embeddings') IS NOT NULL") == 1


@pytest.mark.parametrize("triggers", [True, False])
def test_followers_poll(conn: Connection, encoder: FakeEncoder, triggers: bool) -> None:
    """Without triggers, they find rows without an embedding; with them, also without LISTEN."""
    with following(conn, encoder, triggers=triggers, poll=0.1):
        wait_for(lambda: registered(conn) and status(conn, JOB).encoder is not None)
        conn.execute("SET session_replication_role = " + ("origin" if triggers else "replica"))
        fill(conn, 3)
        wait_for(lambda: count(conn, "SELECT FROM docs WHERE doc IS NULL") == 0)
        conn.execute("SET session_replication_role = origin")


def test_texts_that_cannot_be_encoded(conn: Connection, encoder: FakeEncoder) -> None:
    fill(conn, 10)
    long = "word " * 51
    for row, text in {
        2: "a bad text",
        4: "poison here",
        5: "",
        7: long,
        8: "poison, too poison",
    }.items():
        conn.execute("UPDATE docs SET body = %s WHERE id = %s", (text, row))
    found: list[Failure] = []
    assert run(conn, encoder, on_failure=found.append) == Result(5, 5, 5)
    reasons = {
        "2": "expected a good text",
        "4": "this text is poison",
        "5": "expected a word",
        "7": "expected at most 50 tokens, not 51",
        "8": "this text is poison",
    }
    assert {failure.key["id"]: failure.reason for failure in found} == reasons
    assert str(min(found, key=str)) == "id = 2: expected a good text"
    recorded = failures(conn, JOB)
    assert {failure.key["id"]: failure.reason for failure in recorded} == reasons
    assert all(failure.at is not None for failure in recorded)
    assert run(conn, encoder) == Result(0, 0, 0)
    assert run(conn, encoder, retry_failed=True) == Result(0, 0, 5)
    assert len(failures(conn, JOB)) == 5
    conn.execute("UPDATE docs SET body = 'good' WHERE id IN (2, 7)")  # seen without a trigger, too
    conn.execute("DELETE FROM docs WHERE id = 4")
    assert run(conn, encoder) == Result(2, 2, 0)
    assert [failure.key["id"] for failure in failures(conn, JOB)] == ["5", "8"]
    run(conn, encoder, triggers=True)
    conn.execute("UPDATE docs SET body = 'good' WHERE id = 5")
    conn.execute("UPDATE docs SET body = 'still bad' WHERE id = 8")
    assert run(conn, encoder) == Result(1, 1, 1)
    [failure] = failures(conn, JOB)
    assert failure.reason == "expected a good text"
    assert status(conn, JOB).waiting == 0


@pytest.mark.parametrize("triggers", [True, False])
@pytest.mark.parametrize("chunks", [None, "docs_chunks"])
def test_a_refused_text_is_not_found_by_the_former_one(
    conn: Connection, encoder: FakeEncoder, triggers: bool, chunks: str | None
) -> None:
    job = Job("docs", chunks=chunks)
    fill(conn, 3)
    conn.execute("UPDATE docs SET body = 'good' WHERE id = 3")
    run(conn, encoder, job, triggers=triggers)
    docs = f"SELECT FROM {chunks or 'docs'} WHERE doc IS NOT NULL"
    assert count(conn, docs) == 3
    conn.execute("UPDATE docs SET body = 'a bad text' WHERE id > 1")
    assert run(conn, encoder, job, everything=not triggers) == Result(1 - triggers, 1 - triggers, 2)
    assert count(conn, docs) == 1
    state = status(conn, job)
    assert (state.waiting, state.failed) == (0, 2)
    assert count(conn, f"SELECT FROM {state.queue}") == 2
    assert run(conn, encoder, job) == Result(0, 0, 0)
    conn.execute("UPDATE docs SET body = 'good' WHERE id = 2")
    assert run(conn, encoder, job) == Result(1, 1, 0)
    assert (count(conn, docs), status(conn, job).failed) == (2, 1)


def test_an_embedding_that_may_not_be_removed(conn: Connection, encoder: FakeEncoder) -> None:
    fill(conn, 3)
    run(conn, encoder, triggers=True)
    conn.execute("ALTER TABLE docs ADD CHECK (id <> 2 OR doc IS NOT NULL)")
    conn.execute("UPDATE docs SET body = 'a bad text'")
    assert run(conn, encoder) == Result(0, 0, 3)
    assert [row[0] for row in conn.execute("SELECT id FROM docs WHERE doc IS NOT NULL")] == [2]
    reasons = {failure.key["id"]: failure.reason for failure in failures(conn, JOB)}
    assert reasons["1"] == "expected a good text"
    assert re.match(
        "expected a good text; that of the former text stays: .* violates check", reasons["2"]
    )
    assert status(conn, JOB).waiting == 0


def test_rows_that_the_server_refuses(conn: Connection, encoder: FakeEncoder) -> None:
    fill(conn, 9)
    conn.execute("ALTER TABLE docs ADD CHECK (id <> 4 OR doc IS NULL)")
    assert run(conn, encoder) == Result(8, 8, 1)
    [failure] = failures(conn, JOB)
    assert failure.key == {"id": "4"}
    assert "violates check constraint" in failure.reason


def test_reasons_that_postgresql_would_refuse(conn: Connection, encoder: FakeEncoder) -> None:
    def refuse(texts: list[str]) -> None:
        if texts != ["a"]:
            raise RuntimeError("zero \0, surrogate \ud800\nand a second line")

    fill(conn, 1)
    encoder.before = refuse
    assert run(conn, encoder) == Result(0, 0, 1)
    [failure] = failures(conn, JOB)
    assert failure.reason == "RuntimeError: zero \\0, surrogate ?"


def test_another_encoder_makes_rows_stale(
    conn: Connection, encoder: FakeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    fill(conn, 5)
    conn.execute("UPDATE docs SET body = 'a bad text' WHERE id = 5")
    assert run(conn, encoder, name="one") == Result(4, 4, 1)
    assert run(conn, encoder, name="one") == Result(0, 0, 0)
    assert run(conn, encoder, name="two") == Result(4, 4, 1)
    assert "all rows are stale: the encoder was one (8 dims), and is two (8 dims)" in caplog.text
    assert run(conn, encoder, name="two", everything=True) == Result(4, 4, 1)
    assert status(conn, JOB).failed == 1


def test_a_worker_stops_when_the_encoder_changes(conn: Connection, encoder: FakeEncoder) -> None:
    fill(conn, 5)
    gate = Gate(encoder)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run, conn, encoder, name="one", batch=3)
        assert gate.reached.wait(30)
        other = FakeEncoder()
        assert run(conn, other, name="two", batch=2, poll=1, stop=stop_after(1)) is not None
        gate.opened.set()
        with pytest.raises(EncoderChangedError, match=r"is two \(8 dims\) now, and was one"):
            future.result(30)
    run(conn, other, name="two")
    assert sorted(other.encoded) == sorted({f"text of row {n}" for n in range(1, 6)})


def stop_after(seconds: float) -> threading.Event:
    stop = threading.Event()
    threading.Timer(seconds, stop.set).start()
    return stop


def test_dims_that_do_not_match(conn: Connection) -> None:
    fill(conn, 1)
    with pytest.raises(EmbedError, match=r'with 8 dims, as column "doc" has, not 16'):
        run(conn, FakeEncoder(dims=16))
    assert not registered(conn)
    conn.execute("ALTER TABLE docs ALTER doc TYPE multivector")
    assert run(conn, FakeEncoder(dims=16)).rows == 1


@pytest.mark.parametrize(
    ("job", "message"),
    {
        Job("nowhere"): 'table "nowhere" not found',
        Job("keyless"): 'table "keyless" has no primary key',
        Job("a_view"): 'expected a table, not "a_view"',
        Job("docs", text="nothing"): 'table "docs" has no column "nothing"',
        Job("docs", column="nothing"): 'table "docs" has no column "nothing"',
        Job("docs", column="note"): 'expected column "note" of type multivector, not text',
        Job("docs", text="note"): "follows another text",
    }.items(),
)
def test_jobs_that_cannot_be_done(
    conn: Connection, encoder: FakeEncoder, job: Job, message: str
) -> None:
    conn.execute(
        "CREATE TABLE keyless (body text, doc multivector); CREATE VIEW a_view AS SELECT 1"
    )
    run(conn, encoder)
    with pytest.raises(EmbedError, match=message):
        run(conn, encoder, job)


@pytest.mark.parametrize(
    "options", [{"element": "float8"}, {"overlap": -1}, {"chunk_size": 50}, {"chunk_size": 500}]
)
def test_jobs_that_make_no_sense(options: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        Job("docs", **options)


def test_an_encoder_that_fails(
    conn: Connection, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may pass is tried again, and no text is blamed for it."""
    monkeypatch.setattr(worker, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(worker, "RETRIES", 3)
    fill(conn, 5)
    faults: list[Exception] = [ConnectionError("refused")] * 2 + [ServerError("url", 503, "busy")]

    def fail(_texts: list[str]) -> None:
        if faults:
            raise faults.pop()

    encoder.before = fail
    assert run(conn, encoder) == Result(5, 5, 0)
    conn.execute("UPDATE docs SET doc = NULL")
    faults.extend([OSError("down")] * 1000)
    with pytest.raises(EncoderFailedError, match="the encoder failed: OSError: down"):
        run(conn, encoder)
    assert 1000 - len(faults) == 2 * (worker.RETRIES + 1)
    for fatal in (RuntimeError("a bug"), ServerError("url", 401, "who are you?")):
        faults[:] = [fatal] * 1000
        with pytest.raises(EncoderFailedError):
            run(conn, encoder)
        assert 1000 - len(faults) == 2
    assert failures(conn, JOB) == []
    faults.clear()
    assert run(conn, encoder).rows == 5


def test_faults_between_which_nothing_waits(
    conn: Connection, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A follower counts faults that follow each other, not those of months without a batch."""
    monkeypatch.setattr(worker, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(worker, "RETRIES", 2)
    ended: list[int] = []
    stop = threading.Event()

    def lose_the_connection(_worker: Any, conn: Connection, _seconds: float) -> None:
        ended.append(conn.info.backend_pid)
        if len(ended) == 8:
            stop.set()
        raise psycopg.OperationalError("the server restarts")

    monkeypatch.setattr(worker.Worker, "_sleep", lose_the_connection)
    fill(conn, 1)
    assert run(conn, encoder, follow=True, stop=stop) == Result(1, 1, 0)
    assert len(set(ended)) == 8


@pytest.mark.parametrize("fault", ["short", "dims"])
def test_an_encoder_that_returns_nonsense(
    conn: Connection, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    fill(conn, 2)
    encode = FakeEncoder(dims=8 if fault == "short" else 9).encode
    nonsense = (lambda texts, query: encode(texts[1:], query=query)) if fault == "short" else encode
    monkeypatch.setattr(encoder, "encode", nonsense)
    with pytest.raises(EncoderFailedError, match="expected"):
        run(conn, encoder)


def test_lost_connections(
    conn: Connection, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that goes away is waited for. Each row is written once, whatever is repeated."""
    monkeypatch.setattr(worker, "_FIRST_PAUSE", 0.05)
    fill(conn, 6)
    calls = 0

    def cut(_texts: list[str]) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            allow(False)
            conn.execute("""
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
            """)
            threading.Timer(0.4, allow, (True,)).start()

    def allow(allowed: bool) -> None:
        statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        with psycopg.connect(autocommit=True) as other:
            other.execute(statement.format(sql.Identifier(conn.info.dbname), allowed))

    encoder.before = cut
    assert run(conn, encoder, batch=2) == Result(6, 6, 0)
    assert calls == 4
    assert is_in_step(conn)


def test_lock_timeouts(
    conn: Connection, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_FIRST_PAUSE", 0.05)
    fill(conn, 2)
    gate = Gate(encoder)
    dsn = psycopg.conninfo.make_conninfo(conn.info.dsn, options="-c lock_timeout=50ms")
    with psycopg.connect(conn.info.dsn) as other, ThreadPoolExecutor(1) as pool:
        future = pool.submit(embed, dsn, JOB, encoder, name="fake")
        assert gate.reached.wait(30)
        other.execute("LOCK TABLE docs IN EXCLUSIVE MODE")
        gate.opened.set()
        wait_for(lambda: len(encoder.encoded) >= 4)  # the batch is repeated
        assert not future.done()
        other.commit()
        assert future.result(30) == Result(2, 2, 0)


@pytest.mark.parametrize("state", ["40P01", "57014"])
def test_faults_that_pass(
    conn: Connection, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(worker, "_FIRST_PAUSE", 0.01)
    fill(conn, 2)
    conn.execute(
        sql.SQL("""
            CREATE SEQUENCE faults;
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('faults') < 4 THEN RAISE SQLSTATE {}; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER fail BEFORE UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION fail()
        """).format(state)
    )
    assert run(conn, encoder) == Result(2, 2, 0)
    assert len(encoder.encoded) == 8


def test_faults_that_do_not_pass(conn: Connection, encoder: FakeEncoder) -> None:
    """A fault of one worker ends all."""
    fill(conn, 20)
    run(conn, encoder, stop=set_event())
    encoder.before = lambda _texts: time.sleep(0.05)
    conn.execute("""
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN RAISE insufficient_privilege; END';
        CREATE TRIGGER fail BEFORE UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION fail()
    """)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(conn, encoder, workers=2, batch=2, follow=True)
    assert status(conn, JOB).waiting == 20


def set_event() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_finishes_the_batch(conn: Connection, workers: int) -> None:
    fill(conn, 400)
    with start(conn, 0.02, batch=5, workers=workers) as process:
        begin(process)
        assert process.stdout is not None
        assert process.stderr is not None
        seen = [process.stdout.readline() for _ in range(8)]
        process.send_signal(signal.SIGINT)
        seen += process.stdout.readlines()
        err = process.stderr.read()
    assert process.returncode == -signal.SIGINT
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert 8 <= len(seen) < 400
    assert count(conn, "SELECT FROM docs WHERE doc IS NOT NULL") == len(seen)
    assert status(conn, JOB).waiting == 400 - len(seen)


def test_progress(
    conn: Connection, encoder: FakeEncoder, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(conn, 25)
    conn.execute("UPDATE docs SET body = '' WHERE id = 3")
    shown: list[tuple[int, int | None]] = []
    run(conn, encoder, batch=10, progress=lambda *step: shown.append(step))
    assert shown == [(0, 25), (10, 25), (20, 25), (25, 25)]
    run(conn, encoder, everything=True, progress=True)
    assert "25/25" in capsys.readouterr().err


@pytest.mark.parametrize("options", [{"workers": 0}, {"batch": 0}, {"poll": 0}])
def test_options_that_make_no_sense(
    conn: Connection, encoder: FakeEncoder, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="expected"):
        run(conn, encoder, **options)


HOSTILE = """
    CREATE SCHEMA "Some.""Schema%s";
    CREATE COLLATION "Some.""Schema%s"."Any Case"
        (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE "Some.""Schema%s"."%(a)s; DROP TABLE docs; --" (
        "Key""1%" text COLLATE "Some.""Schema%s"."Any Case",
        "select" timestamptz,
        "Body %s" text COLLATE "Some.""Schema%s"."Any Case",
        "Doc'{}" multivector(8, int8),
        PRIMARY KEY ("Key""1%", "select")
    );
    INSERT INTO "Some.""Schema%s"."%(a)s; DROP TABLE docs; --"
    SELECT 'key ''% ' || n, 'infinity', 'text ' || n FROM generate_series(1, 5) n
"""


@pytest.mark.parametrize("chunks", [False, True])
def test_hostile_names(conn: Connection, encoder: FakeEncoder, chunks: bool) -> None:
    conn.execute('DROP SCHEMA IF EXISTS "Some.""Schema%s" CASCADE')
    conn.execute(HOSTILE)
    table = sql.Identifier('Some."Schema%s', "%(a)s; DROP TABLE docs; --")
    job = Job(
        table,
        text="Body %s",
        column="Doc'{}",
        chunks=sql.Identifier('Some."Schema%s', "chunks of %s") if chunks else None,
    )
    conn.execute(
        sql.SQL("""UPDATE {} SET "Body %s" = '' WHERE "Key""1%" = 'KEY ''% 3'""").format(table)
    )
    assert run(conn, encoder, job, triggers=True) == Result(4, 4, 1)
    [failure] = failures(conn, job)
    assert failure.key == {'Key"1%': "key '% 3", "select": "infinity"}
    conn.execute(sql.SQL('UPDATE {} SET "Body %s" = upper("Body %s")').format(table))
    assert status(conn, job).waiting == 4  # though their collation holds them equal
    assert run(conn, encoder, job) == Result(4, 4, 0)
    assert encoder.encoded[-1].startswith("TEXT")
    uninstall(conn, job)
    with pytest.raises(EmbedError):
        status(conn, job)
    conn.execute('DROP SCHEMA "Some.""Schema%s" CASCADE')
    assert count(conn, "SELECT FROM docs") == 0


def test_types_of_text(conn: Connection, encoder: FakeEncoder) -> None:
    conn.execute("""
        CREATE DOMAIN title AS varchar(40) CHECK (VALUE <> 'x');
        CREATE TABLE notes (
            a uuid PRIMARY KEY DEFAULT gen_random_uuid(), first title, second jsonb, fixed char(30),
            body text GENERATED ALWAYS AS (first || ' ' || (second ->> 0)) STORED,
            doc multivector(8), doc2 multivector(8), doc3 multivector(8), doc4 multivector(8)
        );
        INSERT INTO notes (first, second, fixed) VALUES ('a title', '["one"]', 'fixed')
    """)
    jobs = [
        Job("notes"),
        Job("notes", text="first", column="doc2"),
        Job("notes", text="second", column="doc3"),
        Job("work.notes", text="fixed", column="doc4"),
    ]
    for job in jobs:
        assert run(conn, encoder, job, triggers=True).rows == 1
    assert encoder.encoded == ["a title one", "a title", '["one"]', "fixed"]
    conn.execute("UPDATE notes SET second = '[\"two\"]'")
    assert [status(conn, job).waiting for job in jobs] == [1, 0, 1, 0]
    assert run(conn, encoder, jobs[0]).rows == 1
    assert encoder.encoded[4:] == ["a title two"]


def test_partitions(conn: Connection, encoder: FakeEncoder) -> None:
    conn.execute("""
        DROP TABLE docs;
        CREATE TABLE docs (id int PRIMARY KEY, body text, doc multivector(8, float2), note text)
            PARTITION BY RANGE (id);
        CREATE TABLE docs1 (note text, doc multivector(8, float2), body text, id int NOT NULL);
        ALTER TABLE docs ATTACH PARTITION docs1 FOR VALUES FROM (0) TO (10);
        CREATE TABLE docs2 PARTITION OF docs FOR VALUES FROM (10) TO (100)
    """)
    fill(conn, 20)
    assert run(conn, encoder, triggers=True).rows == 20
    conn.execute("UPDATE docs1 SET body = 'edited' WHERE id = 5")
    conn.execute("UPDATE docs SET id = 50, body = 'moved' WHERE id = 6")
    conn.execute("INSERT INTO docs2 VALUES (51, 'new')")
    assert run(conn, encoder).rows == 3
    assert is_in_step(conn)


def test_a_long_queue_is_not_read_for_each_batch(conn: Connection) -> None:
    """Its statistics are missing, or are those of a short one."""
    install(conn, JOB)
    fill(conn, 3000)
    statements = registry.lookup(conn, JOB)
    ids = [1, 2, 3]
    batch: list[tuple[sql.Composed, Any, str]] = [
        (statements.take, (3,), "due_id_idx"),
        (statements.take_same, {"ids": ids}, "key1_idx"),
        (statements.read, (ids,), "pkey"),
        (statements.lock_unchanged, (ids, ["text of row 1"] * 3), "pkey"),
        (statements.finish, (ids,), "pkey"),
        (statements.fail, (ids, ids, ids, ids), "pkey"),
        (statements.update, (ids, [expected("a")] * 3, ids), "pkey"),
    ]
    with conn.transaction():
        for number, (statement, parameters, index) in enumerate(batch):
            conn.execute(worker.INDEXES if number < 4 else worker.DEFAULT_PLANS)
            plan = conn.execute(sql.SQL("EXPLAIN ") + statement, parameters).fetchall()
            text = "\n".join(line for (line,) in plan)
            assert index in text
            assert "Seq Scan on colbert_pg_embed" not in text
            assert "Sort" not in text or number > 0


def test_rights(conn: Connection, encoder: FakeEncoder) -> None:
    """Who may write to the table needs no further right, and gains none."""
    conn.execute("""
        DROP ROLE IF EXISTS embed_writer, embed_worker;
        CREATE ROLE embed_writer; CREATE ROLE embed_worker LOGIN;
        GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO embed_writer
    """)
    fill(conn, 3)
    run(conn, encoder, triggers=True)
    queue = status(conn, JOB).queue
    conn.execute("SET ROLE embed_writer")
    conn.execute("UPDATE docs SET body = 'edited' WHERE id = 2; INSERT INTO docs VALUES (4, 'new')")
    for statement in (
        "SELECT FROM {}",
        "DELETE FROM {}",
        "INSERT INTO {} (key1, due) VALUES (1, now())",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(statement.format(queue))
    conn.execute("RESET ROLE")
    conn.execute(f"""
        GRANT SELECT, UPDATE (doc) ON docs TO embed_worker;
        GRANT SELECT, INSERT, UPDATE, DELETE ON {queue} TO embed_worker;
        GRANT SELECT ON colbert_pg_embeddings TO embed_worker
    """)
    dsn = psycopg.conninfo.make_conninfo(conn.info.dsn, user="embed_worker")
    assert embed(dsn, JOB, encoder, name="fake") == Result(2, 2, 0)
    assert is_in_step(conn)
    conn.execute("ALTER TABLE docs ENABLE ROW LEVEL SECURITY")
    conn.execute("UPDATE docs SET body = 'hidden from the worker' WHERE id = 2")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        embed(dsn, JOB, encoder, name="fake")
    assert status(conn, JOB).waiting == 1
    conn.execute("DROP OWNED BY embed_writer, embed_worker; DROP ROLE embed_writer, embed_worker")


def test_a_trigger_ignores_the_search_path(conn: Connection, encoder: FakeEncoder) -> None:
    fill(conn, 1)
    run(conn, encoder, triggers=True)
    queue = status(conn, JOB).queue
    conn.execute(f"""
        CREATE SCHEMA trap;
        CREATE FUNCTION trap.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS
            'BEGIN RAISE ''trapped''; END';
        CREATE TEMP TABLE {queue.rpartition(".")[2]} (key1 int);
        SET search_path = trap, pg_catalog, work
    """)
    conn.execute("UPDATE work.docs SET body = 'edited'")
    conn.execute("RESET search_path; DISCARD TEMP; DROP SCHEMA trap CASCADE")
    assert status(conn, JOB).waiting == 1


def test_install_and_uninstall(conn: Connection, encoder: FakeEncoder) -> None:
    install(conn, JOB)
    install(conn, JOB)
    assert status(conn, JOB).installed
    assert status(conn, JOB).encoder is None
    fill(conn, 3)
    assert status(conn, JOB).waiting == 3
    assert run(conn, encoder).rows == 3
    conn.execute("ALTER TABLE docs DISABLE TRIGGER ALL")
    assert not status(conn, JOB).installed
    before = "SELECT FROM pg_class WHERE relname LIKE 'colbert_pg_embed%' AND relkind = 'r'"
    assert count(conn, before) == 2
    uninstall(conn, JOB)
    assert count(conn, before) == 0
    assert count(conn, "SELECT FROM pg_proc WHERE proname LIKE 'colbert_pg_embed%'") == 0
    conn.execute("ALTER TABLE docs ENABLE TRIGGER ALL")
    conn.execute("UPDATE docs SET body = 'edited'")
    with pytest.raises(EmbedError, match="nothing is embedded"):
        uninstall(conn, JOB)
    assert is_in_step(conn) is False


def test_tables_that_are_dropped(conn: Connection, encoder: FakeEncoder) -> None:
    """What belonged to them goes when another table is registered."""
    chunked = Job("docs", chunks="chunks")
    fill(conn, 1)
    run(conn, encoder, triggers=True)
    run(conn, encoder, chunked, triggers=True)
    conn.execute("DROP TABLE chunks")
    run(conn, encoder, chunked)
    triggers = "SELECT FROM pg_trigger WHERE tgname LIKE 'colbert_pg_embed%'"
    assert count(conn, triggers) == 2
    conn.execute("CREATE TABLE others AS TABLE docs; DROP TABLE docs CASCADE")
    conn.execute("ALTER TABLE others ADD PRIMARY KEY (id)")
    run(conn, encoder, Job("others"))
    assert count(conn, "SELECT FROM colbert_pg_embeddings") == 1
    own = (
        "relname LIKE 'colbert_pg_embed%' AND relkind = 'r' AND relnamespace = 'work'::regnamespace"
    )
    assert (
        count(conn, f"SELECT FROM pg_class WHERE relname <> 'colbert_pg_embeddings' AND {own}") == 1
    )
    assert count(conn, "SELECT FROM pg_proc WHERE proname LIKE 'colbert_pg_embed%'") == 0


def test_dump_and_restore(conn: Connection, encoder: FakeEncoder) -> None:
    fill(conn, 5)
    conn.execute("UPDATE docs SET body = '' WHERE id = 5")
    job = Job("docs", column="doc", chunks="chunks")
    run(conn, encoder, triggers=True)
    run(conn, encoder, job, triggers=True)
    conn.execute("UPDATE docs SET body = 'edited' WHERE id = 1")
    name = f"{conn.info.dbname}_restored"
    dump = subprocess.run(["pg_dump", conn.info.dbname], check=True, capture_output=True).stdout
    with psycopg.connect(autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            subprocess.run(
                ["psql", "-qX", "-v", "ON_ERROR_STOP=1", name],
                input=dump,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            with psycopg.connect(dbname=name, autocommit=True) as restored:
                register_multivector(restored)
                for each in (Job("work.docs"), Job("work.docs", chunks="work.chunks")):
                    state = status(restored, each)
                    assert (state.waiting, state.failed, state.installed) == (1, 1, True)
                    assert run(restored, encoder, each).rows == 1
                restored.execute("UPDATE work.docs SET body = 'again' WHERE id = 2")
                assert run(restored, encoder, Job("work.docs")).rows == 1
        finally:
            admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
