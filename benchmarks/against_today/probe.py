"""Measures inside one build: run by a Python whose path leads to that build, it prints figures as JSON.

Uses only what both builds have; what has another name in the older one is imported by either.
"""

import gc
import json
import os
import random
import statistics
import sys
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

BLOCK_BYTES = 16 << 10
"""100,000 of them fit into what the driver says of the process: else the report would not be believed."""
HOUR_SECONDS = 3600.0
COARSE_SECONDS = 30.0
"""Between moments of the day before the last hour, which is kept in minutes all the same."""
POINTS = 300
ASKED = 5
CHUNK_BLOCKS = 64
"""Blocks that change come in runs: the pages of a request, the activations of a layer."""
REPORTS = 12


def milliseconds(work: Callable[..., object], *arguments: object, **named: object) -> float:
    """CPU time of the process for a call."""
    began = time.process_time()
    work(*arguments, **named)
    return (time.process_time() - began) * 1e3


def record(directory: Path, hours: float) -> dict[str, float]:
    """Records a machine that lives: the last 1.2 hours at full rate, what is before in larger steps."""
    from msgspec import structs

    from benchmarks.lifelike import INTERVAL_SECONDS, STARTED_AT, LifelikeMachine

    try:
        from blackbox.recorder.storage.store import Store
    except ImportError:
        from blackbox.recorder.store import Store  # pyright: ignore
    machine = LifelikeMachine(8, 32)
    store = Store(directory)
    full = round(1.2 * HOUR_SECONDS / INTERVAL_SECONDS)
    coarse = round((hours - 1.2) * HOUR_SECONDS / COARSE_SECONDS)
    at, moment = STARTED_AT, machine.moment()
    for number in range(coarse + full):
        moment = machine.moment()
        at += COARSE_SECONDS if number < coarse else INTERVAL_SECONDS
        moment = structs.replace(moment, timestamp=at)
        store.append(moment)
    store.close()
    return {"until": at, "pid": moment.samples[0].processes[0].pid}


def ask(directory: Path, until: float, first_pid: int) -> dict[str, float]:
    """Questions about the recording, each the least of some; each first one by a reader that has just been made."""
    try:
        from blackbox.recorder.query.recording import Recording
    except ImportError:
        from blackbox.recorder.recording import Recording  # pyright: ignore

    def hour(recording: Any, pid: int) -> float:
        return milliseconds(recording.history, until - HOUR_SECONDS, until, pid=pid, points=POINTS)

    Recording(directory).history(until - 60, until, pid=first_pid)  # imports
    figures: dict[str, list[float]] = {"first": [], "again": [], "other": [], "at": [], "at again": [], "day": []}
    for number in range(ASKED):
        pid = first_pid + 7 * number
        recording = Recording(directory)
        figures["first"].append(hour(recording, pid))
        figures["again"].append(hour(recording, pid))
        figures["other"].append(hour(recording, pid + 1))
        recording = Recording(directory)
        figures["at"].append(milliseconds(recording.at, until - 600.25 - number))
        figures["at again"].append(milliseconds(recording.at, until - 599.25 - number))
        recording = Recording(directory)
        if number < 3:
            since = until - 24 * HOUR_SECONDS
            figures["day"].append(milliseconds(recording.history, since, until, points=POINTS))
    return {name: min(costs) for name, costs in figures.items()}


def blocks(count: int) -> dict[str, float]:
    """A report of so many blocks, from the agent's columns to the JSON of the moment, by the share that changed."""
    from msgspec import structs

    from benchmarks.moments import moment
    from blackbox.hub import Hub
    from blackbox.model.view import Shape
    from blackbox.sources.agents.rows import block_rows

    hub = Hub(lambda: 0.0, blocks_max=count + 1)
    hub.demand(Shape(), "identity")
    first = moment(1, processes=1, pages=1)
    told = first.samples[0].allocators[0]
    figures: dict[str, float] = {}
    seq = 1
    for percent in (0, 1, 10, 100):
        states = array("B", (random.Random(1).choice((0, 1, 2)) for _ in range(count)))
        costs: list[float] = []
        rows = block_rows(_columns(count, states), _ids())
        for number in range(REPORTS):
            _change(states, percent, number)
            columns = _columns(count, array("B", states))
            gc.collect()
            began = time.process_time()
            if percent:
                rows = block_rows(columns, _ids())
            reserved = count * BLOCK_BYTES
            allocator = structs.replace(
                told, blocks=rows, kv_pools=(), reserved_bytes=reserved, allocated_bytes=reserved
            )
            seq += 1
            sample = structs.replace(first.samples[0], allocators=(allocator,))
            hub.publish(structs.replace(first, seq=seq, samples=(sample,)))
            if number:
                costs.append((time.process_time() - began) * 1e3)
        figures[f"{percent}"] = statistics.median(costs)
    return figures


def agents(programs: int, count: int) -> dict[str, float]:
    """Memory of a server to which so many programs tell so many blocks each, by three reports that all differ; the
    newest moment is put into JSON and into the recording's form, as where a client looks and a recording runs."""
    from msgspec import structs

    from benchmarks.moments import moment
    from blackbox.hub import Hub
    from blackbox.model.view import Shape
    from blackbox.sources.agents.rows import block_rows

    try:
        from blackbox.recorder.storage.frames import to_bytes
    except ImportError:
        from blackbox.recorder.frames import to_bytes  # pyright: ignore

    hub = Hub(lambda: 0.0)
    hub.demand(Shape(), "identity")
    first = moment(1, gpus=4, processes=programs // 4, pages=1)
    sample = first.samples[0]
    size = count * BLOCK_BYTES
    told = structs.replace(sample.allocators[0], kv_pools=(), reserved_bytes=size, allocated_bytes=size)
    before = _rss_bytes()
    rows: list[Any] = [None] * programs
    for number in range(3):
        for place in range(programs):
            states = array("B", (random.Random(number * programs + place).choices((0, 1, 2), k=count)))
            rows[place] = block_rows(_columns(count, states), _ids())
        allocators = tuple(
            structs.replace(told, pid=one.pid, gpu_uuid=one.gpu_uuid, blocks=blocks)
            for one, blocks in zip(sample.processes, rows, strict=True)
        )
        newest = structs.replace(first, seq=number + 2, samples=(structs.replace(sample, allocators=allocators),))
        hub.publish(newest)
        to_bytes(newest)
    return {"grown": (_rss_bytes() - before) / (1 << 20)}


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _ids() -> Any:
    return SimpleNamespace(outer=lambda thread_id: thread_id)


def _columns(count: int, states: "array[int]") -> Any:
    from blackbox.sources.agents.decode import Columns

    told: dict[str, Any] = {
        "address": array("Q", range(1 << 45, (1 << 45) + count * BLOCK_BYTES, BLOCK_BYTES)),
        "size": array("Q", [BLOCK_BYTES]) * count,
        "state": states,
        "stream": array("Q", [0]) * count,
        "labels": (),
    }
    return Columns._make(told.get(name) for name in Columns._fields)


def _change(states: "array[int]", percent: int, number: int) -> None:
    """Each run gets states that it had never."""
    chunks, random_ = range(0, len(states), CHUNK_BLOCKS), random.Random(number)
    for start in random_.sample(chunks, len(chunks) * percent // 100):
        for place in range(start, min(start + CHUNK_BLOCKS, len(states))):
            states[place] = random_.randrange(3)


def main() -> None:
    """Prints what was asked for."""
    what, *arguments = sys.argv[1:]
    if what == "record":
        figures = record(Path(arguments[0]), float(arguments[1]))
    elif what == "ask":
        figures = ask(Path(arguments[0]), float(arguments[1]), int(float(arguments[2])))
    elif what == "agents":
        figures = agents(int(arguments[0]), int(arguments[1]))
    else:
        figures = blocks(int(arguments[0]))
    json.dump(figures, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # threads of a build are not waited for


main()
