"""The long runs of tools/soak: which there are, how far each shall go, and the record of their parts, kept in test/soak.tsv.

A part takes about ten minutes. Its seed is the time, so that no part repeats another, also of another soak or machine.
"""
import os
import re
import sys
from collections.abc import Mapping
from typing import NamedTuple

from chroots import ROOT

PATH = 'test/soak.tsv'
TAP = 'test/run-tap t/{}.pl'
WITH_SERVER = 'tools/with-server -c autovacuum=off '
TESTS = r'^ok \d+(?!.* # skip)'


class Run(NamedTuple):
    """A kind of run. size is the rounds or seconds of a part: {size} of the command, and COLBERT_SOAK."""
    unit: str
    goal: int | None        # in the unit, over all parts; None: as long as one likes
    size: int
    command: str
    counted: str | None     # an expression for the amounts in the output, which are added; None: the minutes that the part takes
    wal_checks: bool = True     # whether the server compares replayed pages with those of the WAL


# In the order in which a soak runs them.
RUNS = {
    'kills': Run('kills -9 of the server', 1000, 120, TAP.format('030_crash'), r'^ok \d+ - colbert_ivf: crash \d+$'),
    'promotions': Run('promotions, each with a base backup', 100, 40, TAP.format('032_promote'), r'^# (\d+) promotions and'),
    'damages': Run('damaged files', 10000, 300, TAP.format('040_damage'), r'^(?:not )?ok \d+ - (\d+) damages:', wal_checks=False),
    'inputs': Run('inputs of the functions for text and bytes, under ASan and UBSan', 10 ** 8, 600,
                  'make -C test/fuzz check SECONDS={size} SEED={seed}', r'^(?:stat::number_of_executed_units: +(\d+)|(\d+) inputs)$'),
    'statements': Run('minutes of random statements', 720, 450, WITH_SERVER + 'test/run-differential --seconds {size} --seed {seed}', None),
    'pages': Run('damaged pages, without a server, under ASan and UBSan', None, 300,
                 'tools/with-server make -C test/fuzz check-pages SECONDS={size} SEED={seed} PG_CONFIG=$PG_CONFIG', r'^(\d+) damaged pages,'),
    'calls': Run('calls of SQL functions with unreasonable arguments', None, 300,
                 WITH_SERVER + '/usr/bin/python3 -u test/fuzz/fuzz_sql.py --seconds {size} --seed {seed}', r'^# (\d+) calls of SQL'),
    'cancels': Run('cancelled statements and builds, terminated backends and workers', None, 200, TAP.format('041_cancel'), r'^(?:not )?ok \d+ - (\d+) interruptions:'),
    'faults': Run('failing calls of the server', None, 1500, TAP.format('043_faults'), r'^(?:not )?ok \d+ - (\d+) faults at'),
    'recoveries': Run('recoveries to a point in time', None, 12, TAP.format('033_pitr'), r'^# (\d+) recoveries:'),
    'full-disks': Run('full disks', None, 3, TAP.format('042_disk_full'), r"^ok \d+ - round \d+: the WAL's disk was full", wal_checks=False),
    'life': Run('steps in the life of an index', None, 400, TAP.format('055_life'), r'^ok \d+ - colbert_\w+: step'),
    'races': Run('tests of races', None, 1, TAP.format('025_races'), TESTS),
    'concurrency': Run('tests of concurrent work', None, 1,
                       'test/run-tap t/020_concurrency.pl t/021_vacuum.pl t/022_concurrently.pl t/023_load.pl t/034_unlogged.pl t/031_standby.pl',
                       TESTS),
}

GONE = Run('a run that exists no more', None, 0, '', None)


class Part(NamedTuple):
    """A part that ended."""
    date: str
    commit: str
    run: str
    seed: int
    amount: int
    failed: int
    minutes: float
    machine: str


def amount_of(run: Run, output: str, minutes: float) -> int:
    """Return what the output of a part says it did, in the run's unit. An expression without groups counts its matches."""
    if run.counted is None:
        return int(minutes)
    return sum(int(''.join(found.groups('')) or 1) for found in re.finditer(run.counted, output, re.M))


def read() -> list[Part]:
    path = os.path.join(ROOT, PATH)
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [parse(line, number) for number, line in enumerate(f, 1) if number > 1]


def parse(line: str, number: int) -> Part:
    try:
        date, at, run, seed, amount, failed, minutes, machine = line.rstrip('\n').split('\t')
        return Part(date, at, run, int(seed), int(amount), int(failed), float(minutes), machine)
    except ValueError:
        sys.exit(f'{PATH}, line {number}: expected {len(Part._fields)} fields ({", ".join(Part._fields)}), not {line.strip()!r}')


def append(part: Part) -> None:
    """Add a part at the end of the record, which other processes may extend meanwhile: it is one write."""
    path = os.path.join(ROOT, PATH)
    with open(path, 'a') as f:
        f.write(('\t'.join(Part._fields) + '\n' if f.tell() == 0 else '') + '\t'.join(str(field) for field in part) + '\n')


def next_seed(name: str, parts: list[Part], now: int) -> int:
    """Return the time in seconds, or a later number if the record has parts with this one."""
    return max([now, *(part.seed + 1 for part in parts if part.run == name)])


def next_run(names: list[str], minutes: Mapping[str, float]) -> str:
    """Return the run that took the fewest minutes: short soaks, one after another, reach all of them."""
    return min(names, key=lambda name: minutes.get(name, 0))


def table(parts: list[Part]) -> list[str]:
    """Return the lines of a Markdown table of what each run has reached."""
    lines = ['| run | goal | reached | failed parts | parts | hours | commits | machines |', '|---|---|---|---|---|---|---|---|']
    for name in dict.fromkeys([*RUNS, *(part.run for part in parts)]):
        mine = [part for part in parts if part.run == name]
        if not mine:
            continue
        run = RUNS.get(name, GONE)
        commits, machines = list(dict.fromkeys(part.commit for part in mine)), dict.fromkeys(part.machine for part in mine)
        goal = f'{run.goal:,}' if run.goal else ''
        lines.append(f'| {name}: {run.unit} | {goal} | {sum(part.amount for part in mine):,} | {sum(part.failed > 0 for part in mine)} | {len(mine)} | '
                     f'{sum(part.minutes for part in mine) / 60:.1f} | {commits[-1]}{f" and {len(commits) - 1} before" * (len(commits) > 1)} | {", ".join(machines)} |')
    return lines
