"""A clock that counts wall time, or the CPU time of a process.

CPU time hardly depends on other load, so figures from a shared machine can be compared. It excludes waiting and the client's part of a
query. Linux counts it per process, in nanoseconds.
"""
import time


class Clock:
    def __init__(self, pid=None):
        """pid: the process whose CPU time counts; None: wall time."""
        self.path = pid and f'/proc/{pid}/schedstat'

    def now(self):
        if not self.path:
            return time.perf_counter()
        with open(self.path) as f:
            return int(f.read().split()[0]) / 1e9

    def seconds(self, work):
        start = self.now()
        result = work()
        return self.now() - start, result

    def ask(self, asker, queries):
        """Return (milliseconds per query, answers per query)."""
        times, answers = [], []
        for _, query in queries:
            seconds, answer = self.seconds(lambda: asker.ask(query))
            times.append(seconds * 1000)
            answers.append(answer)
        return times, answers
