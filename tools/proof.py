"""The results of tools/test-matrix and tools/mutants, kept in doc/proof.md: per cell and job of run-suites, with the commit on which it ran.

A result counts until a commit changes a file that its job concerns.
"""
import functools
import os
import re
import subprocess
from typing import NamedTuple

import long_runs
from chroots import ROOT

PATH = 'doc/proof.md'
HEAD = f'''# Proof

`make test-matrix` writes this page, `make mutants` the job of that name, and `make soak` the long runs; [reliability](reliability.md#versions-compilers-and-builds) describes them.
Each entry is the number of tests that passed, of those that failed or were skipped if there are any, and the commit on which they ran.
An empty entry was not run.

'''
ENTRY = re.compile(r'^(\d+)(?:, \*\*(\d+) failed\*\*)?(?:, (\d+) skipped)? (\w+)$')

# Files that change what all jobs find, and those that a suite concerns besides. Other suites concern all files.
COMMON = ['src', ':(exclude)src/*.md', 'sql/parts', 'sql/upgrades', 'sql/fan_out', 'Makefile', '*.control', 'tools/with-server', 'tools/lib.sh']
MEDQUAD = ['data/medquad', 'tools/medquad', 'tools/copybinary.py']
TAP = ['test/run-tap', 'test/t/*.pm', 'test/t/*.sql', *MEDQUAD]
CONCERNS = {
    'regress': ['test/sql', 'test/expected', 'test/shared'],
    'isolation': ['test/isolation'],
    'pgtap': ['test/pgtap', 'test/run-pgtap'],
    'tap': TAP,
    'faults': [*TAP, 'test/faults'],
    'unit': ['test/unit'], 'valgrind': ['test/unit'], 'aarch64': ['test/unit'],
    'fuzz': ['test/fuzz', 'test/unit/ward_check.h'], 'pages': ['test/fuzz'], 'sql': ['test/fuzz'],
    'differential': ['test/differential', 'test/run-differential'],
    'ranking': ['test/ranking', 'test/run-ranking', 'test/tap.py'],
    'clients': ['clients', 'test/run-clients', 'bench/lengths', 'doc/migration/data', 'doc/search-page.md', *MEDQUAD],
    'warnings': ['test/check-warnings', 'test/check-headers'],
    'strict': [*TAP, 'test/t/*.pl', 'test/run-strict', 'test/sql', 'test/expected', 'test/shared'],
    'upgrade': ['test/upgrade', 'test/run-upgrade'],
}
JOB_CONCERNS = {'tap-050_update': ['sql/released']}


class Outcome(NamedTuple):
    """The result of a job in a cell."""
    passed: int
    failed: int
    skipped: int
    commit: str

    def __str__(self) -> str:
        return (f'{self.passed}' + (f', **{self.failed} failed**' if self.failed else '') + (f', {self.skipped} skipped' if self.skipped else '')
                + f' {self.commit}')


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(['git', '-C', ROOT, *arguments], capture_output=True, text=True)


def commit() -> str | None:
    """Return the newest commit, or None if the working tree differs from it; the page of results and the record of
    long runs do not count, nor a new page that a killed run left beside it."""
    if git('status', '--porcelain', '--', '.', f':(exclude){PATH}*', f':(exclude){long_runs.PATH}').stdout:
        return None
    return head() or None


def concerns(job: str) -> list[str]:
    """Return the files that a job concerns, as git names them."""
    suite, _, part = job.partition('-')
    if suite not in CONCERNS:
        return ['.', f':(exclude){PATH}', f':(exclude){long_runs.PATH}']
    return COMMON + CONCERNS[suite] + ([f'test/t/{part}.pl'] if suite in ('tap', 'faults') else []) + JOB_CONCERNS.get(job, [])


def head() -> str:
    return git('rev-parse', '--short=10', 'HEAD').stdout.strip()


@functools.cache
def unchanged(since: str, job: str, until: str) -> bool:
    """Return whether no file that a job concerns differs between two commits."""
    return git('diff', '--quiet', since, until, '--', *concerns(job)).returncode == 0


class Proof:
    """The outcomes by cell and job, the servers and compilers of the cells, and the reasons of skipped tests by both."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], Outcome] = {}
        self.builds: dict[str, str] = {}
        self.reasons: dict[tuple[str, str], list[str]] = {}
        long_runs.read()        # a damaged record is found before hours of tests
        path = os.path.join(ROOT, PATH)
        if os.path.exists(path):
            with open(path) as f:
                self.parse(f.read())

    def parse(self, text: str) -> None:
        rows = [[entry.strip() for entry in line.strip('|').split('|')] for line in text.splitlines() if line.startswith('| ')]
        for header in (row for row in rows if row[0] == 'job'):
            for row in rows:
                for cell, entry in zip(header[1:], row[1:]):
                    found = ENTRY.match(entry)
                    if found:
                        passed, failed, skipped, at = found.groups()
                        self.outcomes[cell, row[0]] = Outcome(int(passed), int(failed or 0), int(skipped or 0), at)
        self.builds = dict(re.findall(r'^- ([\w-]+): (PostgreSQL .*)$', text, re.M))
        for cell, job, reason in re.findall(r'^- ([\w-]+), ([\w-]+): (.*)$', text, re.M):
            self.reasons.setdefault((cell, job), []).append(reason)

    def is_due(self, cell: str, job: str) -> bool:
        """Return false if a job passed, and no file that it concerns has changed since."""
        last = self.outcomes.get((cell, job))
        if last is None or last.failed or not last.passed:
            return True
        return not unchanged(last.commit, job, head())

    def current(self, cell: str) -> bool:
        """Return whether no result of a cell has failed, some tests passed, and no file changed since that a job of a result concerns."""
        at, results = head(), [(job, last) for (of, job), last in self.outcomes.items() if of == cell]
        return any(last.passed for _, last in results) and all(not last.failed and unchanged(last.commit, job, at) for job, last in results)

    def keep(self, cell: str, job: str, outcome: Outcome, reasons: list[str]) -> None:
        self.outcomes[cell, job] = outcome
        self.reasons.pop((cell, job), None)
        if reasons:
            self.reasons[cell, job] = reasons

    def write(self, cells: list[str], jobs: list[str]) -> None:
        """Write the page, with cells and jobs in the order given; others that were run come last."""
        cells = [cell for cell in cells if any(cell == c for c, _ in self.outcomes)] + sorted({c for c, _ in self.outcomes} - set(cells))
        jobs = [job for job in jobs if any(job == j for _, j in self.outcomes)] + sorted({j for _, j in self.outcomes} - set(jobs))
        lines = [f'| job | {" | ".join(cells)} |', '|---' * (len(cells) + 1) + '|']
        lines += [f'| {job} | ' + ' | '.join(str(self.outcomes.get((cell, job), '')) for cell in cells) + ' |' for job in jobs]
        if current := [cell for cell in cells if self.current(cell)]:
            counts = ', '.join(f'{cell} ({sum(last.passed > 0 for (of, _), last in self.outcomes.items() if of == cell)})' for cell in current)
            lines += ['', f'At commit {head()}, the results of these cells hold (jobs that passed): {counts}. None failed, and no file changed since that its job concerns.']
        lines += ['', '## Builds', '', *(f'- {cell}: {self.builds[cell]}' for cell in cells if cell in self.builds)]
        if self.reasons:
            lines += ['', '## Skipped', '', *(f'- {cell}, {job}: {reason}' for cell in cells for job in jobs for reason in self.reasons.get((cell, job), []))]
        if parts := long_runs.read():
            lines += ['', '## Long runs', '', f'The sums of all parts, each of which is a line of {long_runs.PATH}.', '', *long_runs.table(parts)]
        path = os.path.join(ROOT, PATH)
        with open(path + '.new', 'w') as f:
            f.write(HEAD + '\n'.join(lines) + '\n')
        os.rename(path + '.new', path)
