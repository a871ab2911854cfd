"""Series cut into buckets by slices: the same numbers as when every sample is added by itself."""

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from blackbox.recorder.query.buckets import RunSlice, TimeBuckets, bucket_rows
from blackbox.recorder.storage.columns import encode
from blackbox.recorder.storage.layout import STATISTICS, Layout
from blackbox.recorder.storage.rows import Run, packed_run
from blackbox.recorder.storage.subjects import Subject

STEP = 2.0
LAYOUT = Layout((Subject("process", gpu_uuid="GPU-0", pid=7),), {"process": ("used_bytes",)})
samples = st.one_of(st.just(math.nan), st.integers(0, 1 << 40).map(float))
rows = st.lists(st.tuples(st.integers(0, 40).map(lambda tenth: tenth / 4), samples, st.booleans()), max_size=30)


def run_of(times: Sequence[float], columns: Sequence[Sequence[float]]) -> Run:
    """Rows of a block, as they are read from it."""
    stored = encode([times, [1.0] * len(times), *columns, *[times] * (len(STATISTICS) - len(columns))])
    return packed_run(stored, lambda _: LAYOUT)


def slice_of(run: Run, kept: Sequence[int], rolled: bool) -> RunSlice:
    """All rows beside each other as a range, as `history` asks for them where times are in order."""
    whole = [*kept] == [*range(len(run.times))] and run.in_order and len(run.times) > 0
    return RunSlice(run, rolled, range(len(run.times)) if whole else kept, [(LAYOUT.keys[0], 0)])


def points(part: RunSlice) -> list[object]:
    buckets = TimeBuckets()
    for stored in part.stored_columns():
        buckets.add(LAYOUT.keys[0], part, 0, stored, bucket_rows(part, STEP))
    return list(buckets.points({place: place * STEP for place in buckets.span()})) if buckets else []


def answers(
    times: Sequence[float], columns: Sequence[Sequence[float]], kept: Sequence[int], rolled: bool
) -> list[object]:
    """Of rows that are in no block yet; those of a block come to the same, to the type."""
    found = points(slice_of(Run(LAYOUT, times, columns.__getitem__), kept, rolled))
    if times:
        packed = points(slice_of(run_of(times, columns), kept, rolled))
        assert repr(packed) == repr(found)
    return found


def expected(added: Sequence[tuple[float, float, float, float, float]]) -> list[object]:
    """From (time, min, mean, max, count) of each row."""
    found: dict[int, list[tuple[float, ...]]] = {}
    for time, *numbers in added:
        found.setdefault(math.floor(time / STEP), []).append(tuple(numbers))
    made: list[object] = []
    for place in range(min(found, default=0), max(found, default=-1) + 1):
        parts = found.get(place)
        if parts is None:
            made.append((place * STEP, None, None, None))
            continue
        count = sum(part[3] for part in parts)
        mean = round(sum(part[1] * part[3] for part in parts) / count)
        made.append((place * STEP, int(min(part[0] for part in parts)), mean, int(max(part[2] for part in parts))))
    return made


@given(rows, st.booleans())
def test_samples_by_slices_are_samples_one_by_one(told: list[tuple[float, float, bool]], whole: bool) -> None:
    """In any order of times, with gaps, and with rows that are not wanted; or in order, and all."""
    told = sorted((time, number, True) for time, number, _ in told) if whole else told
    times, column = [row[0] for row in told], [row[1] for row in told]
    kept = [number for number, row in enumerate(told) if row[2]]
    wanted = [(times[row], column[row], column[row], column[row], 1.0) for row in kept]
    added = [row for row in wanted if not math.isnan(row[1])]
    assert answers(times, [column], kept, rolled=False) == expected(added)


counts = st.lists(st.integers(0, 5), min_size=30, max_size=30) | st.integers(1, 5).map(lambda one: [one] * 30)
used = st.lists(st.integers(0, 1 << 40), min_size=30, max_size=30) | st.integers(0, 1 << 40).map(lambda one: [one] * 30)


@given(st.lists(st.integers(0, 9).map(float), max_size=30), counts, used)
def test_roll_ups_by_slices_are_roll_ups_one_by_one(when: list[float], samples: list[int], numbers: list[int]) -> None:
    """Rows of no samples are gaps; columns may stand still, all or some."""
    told = list(zip(when, samples, numbers, strict=False))
    times = [row[0] for row in told]
    count = [float(row[1]) if row[1] else math.nan for row in told]
    low, mean, high = ([float(row[2] + more) for row in told] for more in (0, 1, 2))
    columns = dict(zip(STATISTICS, (low, mean, high, high, count), strict=True))
    added = [row for row in zip(times, low, mean, high, count, strict=True) if row[4] > 0]
    assert answers(times, list(columns.values()), range(len(told)), rolled=True) == expected(added)
