"""Concurrent clients, each a process: latency of each query, reads per stage, and what the backend read from disk."""
import collections, multiprocessing, time
import medquad_db as db
from shard.load import connect

STAGES = ('find', 'gather', 'narrow', 'rerank', 'exact')
COLUMNS = ', '.join(f'{stage}_{what}' for what in ('read', 'hit', 'ms') for stage in STAGES)
PATIENCE = 600      # seconds
# of one query: latency, CPU time of the backend, bytes that it read from disk, numbers of the scan
Result = collections.namedtuple('Result', 'ms cpu_ms disk scan')


def disk_bytes(pid):
    """Return the bytes that a process has read from disk; None if /proc of other users' processes is not readable."""
    try:
        with open(f'/proc/{pid}/io') as f:
            return next(int(line.split()[1]) for line in f if line.startswith('read_bytes'))
    except PermissionError:
        return None


def cpu_ms(pid):
    """Return the time that a process has run."""
    with open(f'/proc/{pid}/schedstat') as f:
        return int(f.read().split()[0]) / 1e6


def run(queries, warm, settings, barrier, pipe):
    """Run some queries to warm up, wait for the others, then run and time the rest. Sends [Result]."""
    try:
        with connect() as conn:
            for setting in settings:
                conn.execute('SET ' + setting)
            asker, pid, results = db.Asker(conn), conn.info.backend_pid, []
            for query in queries[:warm]:
                asker.ask(query)
            barrier.wait(PATIENCE)      # all are warm
            barrier.wait(PATIENCE)      # the limit is set
            for query in queries[warm:]:
                before, cpu_before, start = disk_bytes(pid), cpu_ms(pid), time.perf_counter()
                asker.ask(query)
                ms, cpu, after = (time.perf_counter() - start) * 1000, cpu_ms(pid) - cpu_before, disk_bytes(pid)
                scan = conn.execute(f'SELECT {COLUMNS} FROM colbert_last_scan()').fetchone()
                results.append(Result(ms, cpu, None if before is None else after - before, [float(number) for number in scan]))
            pipe.send(results)
            barrier.wait(PATIENCE)      # the private memory of this backend is held until the end
    except BaseException:
        barrier.abort()
        raise


def ask(queries, clients, warm, settings, ready=None, finished=None):
    """
    Divide the queries among clients that run at the same time. Each first runs `warm` queries untimed; then ready() is called,
    and finished() before they disconnect. Return the results of all (run).
    """
    context = multiprocessing.get_context('fork')
    barrier, those = context.Barrier(clients + 1), []
    for number in range(clients):
        own, other = context.Pipe(duplex=False)
        process = context.Process(target=run, args=(queries[number::clients], warm, settings, barrier, other), daemon=True)
        process.start()
        those.append((process, own))
        other.close()
    barrier.wait(PATIENCE)
    if ready:
        ready()
    barrier.wait(PATIENCE)
    results = [result for _, pipe in those for result in pipe.recv()]
    if finished:
        finished()
    barrier.wait(PATIENCE)
    for process, _ in those:
        process.join()
    return results
