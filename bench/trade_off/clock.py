"""What time is counted in: seconds on the wall, or seconds of the processor that a process has had.

The second hardly depends on what else runs, so figures from a machine that others use too can be compared; it leaves out waiting, and
the client's part of a query. Linux keeps it for each process, in nanoseconds.
"""
import time


class Clock:
    def __init__(self, pid=None):
        """pid: of the process whose time counts; None: the wall."""
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
        """(milliseconds, answers) of each query."""
        times, answers = [], []
        for _, query in queries:
            seconds, answer = self.seconds(lambda: asker.ask(query))
            times.append(seconds * 1000)
            answers.append(answer)
        return times, answers
