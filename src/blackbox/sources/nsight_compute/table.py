"""The table that `ncu --csv` prints: of the raw page, one row per kernel; of the others, one row per figure.

Lines of the profiler and of the program stand before and between. Numbers are written as in the locale of whoever ran
it; what is no plain number makes the whole file unreadable, since 1,234 may mean two things.
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from blackbox.errors import FailureError
from blackbox.sources.nsight_compute.counters import BLOCK_SIZE, GRID_SIZE, METRICS
from blackbox.sources.nsight_compute.kernel import Kernel, is_scaled, kernel

FILE_BYTES_MAX = 1 << 28
"""A hundred thousand kernels with all metrics; read whole."""
CELL_CHARS_MAX = 1 << 20
"""Names of C++ kernels reach tens of thousands of characters."""

_ID, _PID, _NAME, _VALUE, _UNIT = "ID", "Process ID", "Metric Name", "Metric Value", "Metric Unit"
_DIMENSIONS = {"Block Size": BLOCK_SIZE, "Grid Size": GRID_SIZE}
"""Columns that hold three numbers whose product is the metric."""
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]+|[0-9]{1,3}(?:,[0-9]{3}){2,}")
"""What only a locale with commas between thousands writes."""
_ABSENT = ("n/a", "(!)")
"""Not measured, or measured and found odd by the profiler."""

Figure = tuple[str, float, str]
"""Metric, value, unit."""


class Table(NamedTuple):
    kernels: list[Kernel]
    rounded: bool
    """Some figures were scaled to a handy unit, with two decimals."""


def read(path: Path) -> Table:
    """The kernels in the file. Raises `FailureError`."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise FailureError(f"{path}: more than the {FILE_BYTES_MAX >> 20} MiB that are read")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise FailureError(f"{path}: {error.strerror}") from None
    try:
        return _table(text)
    except (ValueError, OverflowError, csv.Error) as error:
        raise FailureError(f"{path}: {error}") from None


def _table(text: str) -> Table:
    csv.field_size_limit(CELL_CHARS_MAX)
    start = re.search(rf'^"?{_ID}"?,"?{_PID}"?,', text, re.MULTILINE)
    if start is None:
        raise ValueError("no table of 'ncu --csv': no line with the columns ID and Process ID")
    header, *rows = _rows(text[start.start() :])
    read_number = _Numbers(any(_GROUPED.fullmatch(cell) for row in rows for cell in row))
    figures = _of_long(header, rows, read_number) if _NAME in header else _of_wide(header, rows, read_number)
    return _gathered(figures)


def _rows(text: str) -> Iterator[list[str]]:
    """The header and what stands under it. Each line is taken by itself, since the program may print between them."""
    width = 0
    for line in text.splitlines():
        for row in csv.reader([line]):
            width = width or len(row)
            if len(row) == width:
                yield row
            elif len(row) > 1 and row[0].isdecimal() and row[1].isdecimal():
                raise ValueError(f"the row of kernel {row[0]} is cut short")


class _Row(NamedTuple):
    kernel: tuple[int, str]
    """Its process and its id."""
    figures: list[Figure]


class _Numbers:
    """Reads numbers as the file writes them; nan for what is none on purpose."""

    def __init__(self, grouped: bool) -> None:
        self._grouped = grouped

    def __call__(self, text: str) -> float:
        if text.startswith(_ABSENT):
            return math.nan
        try:
            return float(text.replace(",", "") if self._grouped else text)
        except ValueError:
            raise ValueError(f"{text[:40]!r} is no plain number: let ncu write it under LC_ALL=C") from None


def _of_wide(header: Sequence[str], rows: Iterable[Sequence[str]], number: _Numbers) -> Iterator[_Row]:
    """One column per metric; a row of units stands first."""
    wanted = [(place, name) for place, name in enumerate(header) if name in METRICS]
    units: Sequence[str] = [""] * len(header)
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        if not cells[_ID]:
            units = row
            continue
        figures = [(name, number(row[place]), units[place]) for place, name in wanted if row[place]]
        yield _Row(_identity(cells), [*_dimensions(cells), *figures])


def _of_long(header: Sequence[str], rows: Iterable[Sequence[str]], number: _Numbers) -> Iterator[_Row]:
    """One row per kernel and metric."""
    if _VALUE not in header:
        raise ValueError(f"the table has no column {_VALUE}")
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        figures = list(_dimensions(cells))
        if cells[_NAME] in METRICS and cells[_VALUE]:
            figures.append((cells[_NAME], number(cells[_VALUE]), cells.get(_UNIT, "")))
        yield _Row(_identity(cells), figures)


def _identity(cells: dict[str, str]) -> tuple[int, str]:
    if not cells[_PID].isdecimal():
        raise ValueError(f"{cells[_PID][:40]!r} is no process id")
    return int(cells[_PID]), cells[_ID]


def _dimensions(cells: dict[str, str]) -> Iterator[Figure]:
    for column, metric in _DIMENSIONS.items():
        sides = re.findall(r"[0-9]+", cells.get(column, ""))
        if len(sides) == 3:
            x, y, z = map(int, sides)
            yield metric, float(x * y * z), ""


def _gathered(rows: Iterable[_Row]) -> Table:
    figures: dict[tuple[int, str], list[Figure]] = {}
    for row in rows:
        figures.setdefault(row.kernel, []).extend(row.figures)
    rounded = any(is_scaled(unit) for found in figures.values() for _, _, unit in found)
    return Table([kernel(pid, found) for (pid, _), found in figures.items()], rounded)
