"""Observe a CREATE INDEX from another session: seconds per phase, and the peak memory of its processes."""
import re, threading
import medquad_db as db
from trade_off.clock import Clock

PHASES = 'SELECT phase FROM pg_stat_progress_create_index WHERE pid = {pid}'
WORKERS = 'SELECT pid FROM pg_stat_activity WHERE leader_pid = {pid}'
MEMORY_EVERY = 5    # polls


def patience(elapsed):
    """Return the seconds between polls. Reading memory sizes takes time too, and long builds change slowly."""
    return min(max(.02, elapsed / 500), 2)


def private_bytes(pid):
    with open(f'/proc/{pid}/status') as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith('RssAnon'))


def dynamic_shared_bytes(pid):
    """Return the resident bytes of the dynamic shared memory segments of a process, which do not include shared_buffers."""
    total, ours = 0, False
    with open(f'/proc/{pid}/smaps') as f:
        for line in f:
            if re.match(r'[0-9a-f]+-[0-9a-f]+ ', line):
                ours = '/PostgreSQL.' in line or 'pg_dynshmem' in line
            elif ours and line.startswith('Rss:'):
                total += int(line.split()[1]) * 1024
    return total


class Watch:
    """with Watch(pid, step) as watch: ... watch.phases, watch.peak (0 if /proc of other users' processes is not readable)"""

    def __init__(self, pid, step, clock):
        self.pid, self.step, self.clock = pid, step, clock
        self.phases, self.peak = {}, 0
        self.done = threading.Event()

    def memory(self, conn):
        workers = [pid for pid, in conn.execute(WORKERS.format(pid=self.pid))]
        try:
            now = private_bytes(self.pid) + sum(private_bytes(pid) for pid in workers) + (dynamic_shared_bytes(self.pid) if workers else 0)
        except (OSError, StopIteration):    # a worker that has just ended, or /proc is not readable
            return
        self.peak = max(self.peak, now)

    def run(self):
        with db.connect() as conn:
            last, polls = self.clock.now(), 0
            start = last
            while not self.done.wait(patience(last - start)):
                row = conn.execute(PHASES.format(pid=self.pid)).fetchone()
                now = self.clock.now()
                if row:
                    phase = row[0].partition(': ')[2] or row[0]
                    self.phases[phase] = self.phases.get(phase, 0) + now - last
                    self.step.detail = phase
                last = now
                if polls % MEMORY_EVERY == 0:
                    self.memory(conn)
                polls += 1

    def __enter__(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def create_index(conn, statement, step, clock=Clock()):
    """Run CREATE INDEX and return (seconds, {phase: seconds}, peak bytes of memory)."""
    with Watch(conn.info.backend_pid, step, clock) as watch:
        taken, _ = clock.seconds(lambda: conn.execute(statement))
    return taken, watch.phases, watch.peak
