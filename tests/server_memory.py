"""python -m tests.server_memory here|apart: what the hours and the dumps of a recorder leave in its process.

Prints JSON: for each hour, and then each dump, the most bytes of objects of Python it took meanwhile, and the resident
memory after it.
"""

import json
import random
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from blackbox.heap import keep_small, trimmer
from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.recorder.dumps.apart import KeepApart
from blackbox.recorder.dumps.keeper import keep
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage.store import Store
from blackbox.recorder.storage.upkeep import begin_apart, begin_here
from tests.moments import TIMESTAMP, device, moment, process, sample
from tests.waiting import until

INTERVAL, HOUR = 20.0, 3600.0
NEW_PROCESSES = 32
"""A moment: 5,760 an hour, as in `./run soak`."""
HOURS, DUMPS = 3, 4


def main() -> None:
    keep_small()
    is_apart = sys.argv[1] == "apart"
    trim = trimmer() or (lambda: None)
    begin, write = (begin_apart, KeepApart().keep) if is_apart else (begin_here, keep)
    found: dict[str, list[tuple[int, int]]] = {"hours": [], "dumps": []}

    def measured(name: str, work: Callable[[], Any]) -> None:
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        trim()
        found[name].append((peak, psutil.Process().memory_info().rss))

    with TemporaryDirectory() as folder:
        directory = Path(folder)
        store = Store(directory, clock=lambda: 0.0, begin=begin)
        now = 0.0

        def append(one: Moment) -> None:
            store.append(one)
            until(lambda: not store._is_at_work())

        for one in churn():
            if now // HOUR != one.timestamp // HOUR and now:
                measured("hours", lambda one=one: append(one))
            else:
                append(one)
            now = one.timestamp
        recording = Recording(directory)
        for number in range(DUMPS):
            event = Event(kind="oom", timestamp=now, message=f"out of memory {number}", gpu_uuid="GPU-0", pid=number)
            measured("dumps", lambda event=event: write(recording, directory / "dumps", event, now))
        store.close()
    print(json.dumps(found))


def churn() -> Iterator[Moment]:
    """Hours in which processes come and go."""
    start = TIMESTAMP // HOUR * HOUR
    chance = random.Random(1)
    for number in range(int(HOURS * HOUR / INTERVAL) + 2):
        now = start + number * INTERVAL
        pids = range(number * NEW_PROCESSES, (number + 1) * NEW_PROCESSES)
        rows = tuple(process(1000 + pid, f"GPU-{chance.randrange(2)}", start_time=now) for pid in pids)
        devices = device(0, taken_at=now), device(1, taken_at=now)
        yield moment(
            sample(devices, rows, taken_at=now, processes_taken_at=now), seq=number, timestamp=now, taken_at=now
        )


if __name__ == "__main__":
    main()
