"""How memory went over the strip, in words: flat, swinging, or changed by so much."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from blackbox.model.snapshot import Process
from blackbox.terminal import figures
from blackbox.tui.answers import ChartTable
from blackbox.tui.scene import Scene

FLAT_SHARE = 0.01
"""Of a GPU's memory: within it a course is called flat."""
MOVED_SECONDS = 120.0
NO_TREND = "no trend"


class Moved(NamedTuple):
    """What a process took, or gave back."""

    process: Process
    bytes: int
    is_new: bool
    """It began within the time looked at, so all it holds is new."""


def course_words(values: Sequence[float | None], total: float) -> str:
    """`flat`, `19-56 GiB`, or nothing where a trend is for the forecast to tell."""
    seen = [value for value in values if value is not None]
    if len(seen) < 2 or total <= 0:
        return "n/a yet"
    low, high = min(seen), max(seen)
    if high - low <= total * FLAT_SHARE:
        return "flat"
    if _turns(seen, (high - low) / 4) >= 2:
        return f"{low / figures.GIB:.0f}-{high / figures.GIB:.0f} GiB"
    return NO_TREND


def _turns(values: Sequence[float], least: float) -> int:
    """How often it turned back by more than `least`."""
    extreme, rising, found = values[0], None, 0
    for _, value in pairwise(values):
        if rising is None:
            if abs(value - extreme) >= least:
                rising, extreme = value > extreme, value
        elif (value > extreme) == rising:
            extreme = value
        elif abs(value - extreme) >= least:
            rising, extreme, found = not rising, value, found + 1
    return found


def _place(table: ChartTable, time: float) -> int:
    return int((time - table.chart.start) / table.chart.step_seconds)


def moved_from(scene: Scene) -> float | None:
    """When the last two minutes begin: later where less is recorded; None where nothing is, and in the past."""
    table, then = scene.answers.chart.value, scene.now - MOVED_SECONDS
    if table is None or not scene.is_live:
        return None
    first = max(0, _place(table, then))
    rows = [
        table.series[key].mean[first:] for leaf in scene.leaves if (key := (leaf.gpu.uuid, None, None)) in table.series
    ]
    seen = [next((step for step, one in enumerate(row) if one is not None), None) for row in rows]
    skipped = min((step for step in seen if step is not None), default=None)
    if skipped is None:
        return None
    return max(then, table.chart.start + ((first + skipped) * table.chart.step_seconds if skipped else 0))


def moved(scene: Scene) -> list[Moved]:
    """Of every process since `moved_from`, by how much, the largest change first; nothing where that is not known."""
    table, then = scene.answers.chart.value, moved_from(scene)
    if table is None or then is None:
        return []
    place = _place(table, then)
    found: list[Moved] = []
    for leaf in scene.leaves:
        for ledger in leaf.processes:
            process = ledger.process
            key = process.gpu_uuid, process.pid, process.start_time
            series = table.series.get(key)
            values = series.mean if series is not None else []
            known = values[place] if 0 <= place < len(values) else None
            is_new = known is None and (process.start_time or 0.0) > then
            was = (
                0.0
                if is_new
                else known
                if known is not None
                else next((one for one in values if one is not None), None)
            )
            if was is not None:
                found.append(Moved(process, round(process.used_bytes - was), is_new))
    return sorted(found, key=lambda one: -abs(one.bytes))
