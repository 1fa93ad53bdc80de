"""Print the figures of bench/lengths as tables."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from measure import Cell, Figures, Measured

COLUMNS = {'recall': (9, 3), 'ms': (7, 2), 'cpu': (7, 2), 'narrowed': (10, 0), 'reranked': (10, 0), 'expected': (10, 2)}  # width, digits
CALIBRATED = {'recall': 3, 'missed': 2, 'expected': 2, 'narrowed': 0}  # digits
WIDTH = 8
KIND_WIDTH = 16
ALL = 'mean of kinds'
Part = TypeVar('Part')


def different(parts: Iterable[Part]) -> list[Part]:
    """Return the different ones of parts of cells, in order of appearance."""
    return list(dict.fromkeys(parts))


def means(figures: Sequence[Figures]) -> Figures:
    return Figures(*(sum(column) / len(column) for column in zip(*figures, strict=True)))


def title(name: str, cell: Cell) -> str:
    parts = [name, cell.sample, f'{cell.share:g} of the documents' if cell.share < 1 else '']
    return ', '.join(part for part in parts if part)


def print_row(label: str, cells: Sequence[tuple[float, int, int]]) -> None:
    """cells: value, width, digits."""
    print(f'{label:{KIND_WIDTH}}' + ''.join(f'{value:{width},.{digits}f}' for value, width, digits in cells))


def print_figures(name: str, measured: Measured) -> None:
    """Print a table of all figures per sample, filter and target: a row per kind of query, and columns per method."""
    methods = different(cell.method for cell in measured)
    for common in different((cell.sample, cell.share, cell.target) for cell in measured):
        rows = {cell: figures for cell, figures in measured.items() if cell[:3] == common}
        first = next(iter(rows))
        print(f'\n{title(name, first)}' + (f', target {first.target}' if first.target else ''))
        print(' ' * KIND_WIDTH + ''.join(f'{method:>{sum(width for width, _ in COLUMNS.values())}}' for method in methods))
        print(f'{"query":{KIND_WIDTH}}' + ''.join(f'{column:>{width}}' for _ in methods for column, (width, _) in COLUMNS.items()))
        for kind in different(cell.kind for cell in rows):
            by_method = [rows[first._replace(method=method, kind=kind)] for method in methods]
            print_row(kind, [(getattr(figures, column), *shape) for figures in by_method for column, shape in COLUMNS.items()])


def print_calibration(name: str, measured: Measured) -> None:
    """Print what the searches found and missed, and expected to miss, by target: a table per sample, filter and method."""
    targets = different(cell.target for cell in measured)
    for common in different(cell._replace(target='', kind='') for cell in measured):
        rows = {cell: figures for cell, figures in measured.items() if cell._replace(target='', kind='') == common}
        print(f'\n{title(name, common)}, {common.method}: recall, rows missed and expected to be missed, documents narrowed, by target')
        print(' ' * KIND_WIDTH + ''.join(f'{column:>{WIDTH * len(targets)}}' for column in CALIBRATED))
        print(f'{"query":{KIND_WIDTH}}' + ''.join(f'{target:>{WIDTH}}' for target in targets) * len(CALIBRATED))
        for kind in [*different(cell.kind for cell in rows), ALL]:
            some = [[figures for cell, figures in rows.items() if cell.target == target and kind in (cell.kind, ALL)] for target in targets]
            print_row(kind, [(getattr(means(figures), column), WIDTH, digits) for column, digits in CALIBRATED.items() for figures in some])
