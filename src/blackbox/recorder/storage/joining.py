"""Rows of several blocks as those of one: a chart of an hour reads few long ones sooner than many short ones.

Blocks are short while they are written, so that the tail is. What is made of them here is what would have been packed
had the tail been as long; the numbers are mostly not even made for it.
"""

from collections.abc import Iterable, Iterator, Sequence

from blackbox.recorder.storage.column_groups import pack_groups
from blackbox.recorder.storage.columns import (
    EncodedColumn,
    Head,
    StoredColumn,
    encode_column,
    join_columns,
)
from blackbox.recorder.storage.compression import DamageError, signed
from blackbox.recorder.storage.layout import Layout
from blackbox.recorder.storage.rows import VALUES, Run
from blackbox.recorder.storage.slices import in_slices

JOINED = signed(b"joined")
"""Stands in a block for rows that are joined with those of others."""
NUMBERS_MAX = 1 << 22
"""In rows that are joined: ten minutes of 8 GPUs x 32 processes at 2 Hz have a quarter of it. They
are unpacked together while they are joined; minutes of larger machines stay alone."""


def groups(blocks: Iterable[tuple[int, Run]]) -> Iterator[list[tuple[int, Run]]]:
    """Neighbouring blocks of full-rate rows, at least two, with `NUMBERS_MAX` numbers at most: what is joined."""
    group: list[tuple[int, Run]] = []
    for block in blocks:
        if group and _numbers([*group, block]) > NUMBERS_MAX:
            if len(group) > 1:
                yield group
            group = []
        group.append(block)
    if len(group) > 1:
        yield group


def _numbers(group: Sequence[tuple[int, Run]]) -> int:
    """With the gaps of those who come or go in between."""
    runs = [run for _, run in group]
    return union_of(runs).width * sum(len(run.times) for run in runs)


def union_of(runs: Sequence[Run]) -> Layout:
    """A layout for the rows of all."""
    first = runs[0].layout
    return first if all(run.layout is first for run in runs) else Layout.union(run.layout for run in runs)


def join_rows(runs: Sequence[Run], layout: Layout, layout_id: int) -> bytes:
    """The full-rate rows of runs, one below the other, in one blob. Raises `DamageError`."""
    times = [time for run in runs for time in run.times]
    return pack_groups(len(times), in_slices(_columns(runs, layout, times, layout_id)), VALUES)


def _columns(runs: Sequence[Run], layout: Layout, times: list[float], layout_id: int) -> Iterator[EncodedColumn]:
    yield encode_column(times)
    yield encode_column([float(layout_id)] * len(times))
    for subject in layout.subjects:
        for metric in layout.metrics_of(subject):
            yield join_columns([_stored(run, run.layout.place(subject, metric)) for run in runs])


def _stored(run: Run, place: int | None) -> StoredColumn:
    """A column of the run, or one of gaps. Raises `DamageError`."""
    if place is None:
        return StoredColumn(Head((0, len(run.times)), 0, 0, 0, ""), len(run.times), b"", is_whole=False)
    (stored,) = run.stored_columns([place])
    if stored is None:
        raise DamageError("a column that cannot be read")
    return stored
