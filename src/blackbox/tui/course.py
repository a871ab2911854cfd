"""How memory went over the strip, in words: flat, swinging, or changed by so much."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from blackbox.model.snapshot import Process
from blackbox.terminal import figures
from blackbox.tui.scene import Scene

FLAT_SHARE = 0.01
"""Of a GPU's memory: within it a course is called flat."""
MOVED_SECONDS = 120.0


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
    return "no trend"


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


def moved(scene: Scene) -> list[Moved]:
    """Of every process, by how much, the largest change first; nothing where the time was not seen."""
    table = scene.answers.chart.value
    if table is None or not scene.is_live:
        return []
    chart = table.chart
    then = scene.now - MOVED_SECONDS
    place = int((then - chart.start) / chart.step_seconds)
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
