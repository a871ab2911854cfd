"""The recorder on 8 GPUs × 32 processes at 2 Hz, faster than real time, beside Prometheus' database."""

import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from benchmarks import tsdb
from benchmarks.harness import PeerMissingError, median
from benchmarks.lifelike import INTERVAL_SECONDS, STARTED_AT, LifelikeMachine
from benchmarks.plan import Benchmark, Plan, Row
from blackbox.recorder.query.history import History
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage.directory import chunk_files
from blackbox.recorder.storage.layout import COUNT
from blackbox.recorder.storage.rows import Run
from blackbox.recorder.storage.store import Store
from blackbox.recorder.storage.tier_reader import TierReader
from blackbox.recorder.storage.tiers import DAY_SECONDS, FULL, HOUR_SECONDS, TIERS

GPUS = 8
PROCESSES = 32
SHORT_SECONDS = HOUR_SECONDS + 2 * FULL.chunk_seconds
"""More than the hour that is kept at full rate."""
BYTES_MAX = 2.0
CHART_MILLISECONDS_MAX = 100.0
AT_MILLISECONDS_MAX = 50.0
CORE_PERCENT_MAX = 2.0
POINTS = 300
ASKED = 5
CHARTED = GPUS * PROCESSES // 2
"""Number of the process whose chart is drawn."""


def run(plan: Plan) -> list[Row]:
    """Bytes, milliseconds and CPU."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, "data")
        seconds = DAY_SECONDS if plan.long else SHORT_SECONDS
        cost = _record(directory, seconds)
        span = f"{seconds / HOUR_SECONDS:.3g} h"
        return [
            Row(
                figure=f"recording, {span} in a row",
                unit="% of a core",
                ours=cost * 100 / INTERVAL_SECONDS,
                target="≤ 2 %",
                met=cost * 100 / INTERVAL_SECONDS <= CORE_PERCENT_MAX,
                note=f"{cost * 1e3:.2f} ms CPU per moment",
            ),
            *_sizes(directory, Path(folder), span),
            *_questions(directory, Path(folder), STARTED_AT + seconds, span),
        ]


def _record(directory: Path, seconds: float) -> float:
    """CPU seconds per moment."""
    machine = LifelikeMachine(GPUS, PROCESSES)
    spent = 0.0
    moments = round(seconds / INTERVAL_SECONDS)
    with closing(Store(directory)) as store:
        for _ in range(moments):
            moment = machine.moment()
            began = time.thread_time()
            store.append(moment)
            spent += time.thread_time() - began
    return spent / moments


def _sizes(directory: Path, folder: Path, span: str) -> list[Row]:
    stored = sum(chunk.bytes() for tier in TIERS for chunk in chunk_files(directory, tier.name))
    kept = sum(_numbers(TierReader(directory, tier).runs(0, 1e12), rolled=tier is not FULL) for tier in TIERS)
    finished = chunk_files(directory, FULL.name)[:-1]
    since, until = finished[0].start, finished[-1].start + FULL.chunk_seconds - 1e-6
    runs = list(TierReader(directory, FULL).runs(since, until))
    numbers = _numbers(runs, rolled=False)
    full = sum(chunk.bytes() for chunk in finished) / numbers
    peer, theirs = "Prometheus TSDB", None
    try:
        samples = tsdb.backfill(runs, folder)
        assert samples == numbers, (samples, numbers)
        theirs = tsdb.block_bytes(folder) / samples
    except PeerMissingError as missing:
        peer = f"peer not installed: {missing}"
    return [
        Row(
            figure=f"disk per number kept, after {span}",
            unit="bytes",
            ours=stored / kept,
            target="≤ 2",
            met=stored / kept <= BYTES_MAX,
            note=f"{stored / 1e6:.1f} MB in all, whole moments and every file included",
        ),
        Row(
            figure="disk per number at full rate",
            unit="bytes",
            ours=full,
            peer=peer,
            theirs=theirs,
            target="≤ 2",
            met=full <= BYTES_MAX,
            note="ours with the whole moments beside the numbers; theirs the numbers alone",
        ),
    ]


def _questions(directory: Path, folder: Path, now: float, span: str) -> list[Row]:
    """Each asked of a reader that has just been made: one that was asked before has kept the answer."""
    recording = Recording(directory)
    process = next(iter(recording.moments(now - 10, now))).samples[0].processes[CHARTED]

    def asked(seconds: float) -> History:
        return Recording(directory).history(now - seconds, now, pid=process.pid, points=POINTS)

    chart = _milliseconds(lambda: asked(DAY_SECONDS))
    hour = _milliseconds(lambda: asked(HOUR_SECONDS))
    then = max(_milliseconds(lambda ago=ago: Recording(directory).at(now - ago)) for ago in (1, 600, 3000))
    theirs, peer = None, "Prometheus query_range"
    try:
        series = f'{tsdb.PREFIX}used_bytes{{holder="process",pid="{process.pid}"}}'
        window = f"{HOUR_SECONDS / POINTS:.0f}s"
        theirs = tsdb.query_milliseconds(folder, f"avg_over_time({series}[{window}])", now - HOUR_SECONDS, now, POINTS)
    except PeerMissingError as missing:
        peer = f"peer not installed: {missing}"
    return [
        Row(
            figure=f"chart of 24 h of one process, after {span}",
            unit="ms",
            ours=chart,
            target="≤ 100 ms",
            met=chart <= CHART_MILLISECONDS_MAX,
            note="min, mean and max at each of 300 points",
        ),
        Row(
            figure="chart of the last hour of one process",
            unit="ms",
            ours=hour,
            peer=peer,
            theirs=theirs,
            note="ours min, mean and max without HTTP; theirs the mean, over HTTP",
        ),
        Row(
            figure="the machine as of then",
            unit="ms",
            ours=then,
            target="≤ 50 ms",
            met=then <= AT_MILLISECONDS_MAX,
            note="the slowest of 1 s, 10 min and 50 min ago",
        ),
    ]


def _numbers(runs: Iterable[Run], *, rolled: bool) -> int:
    """How many numbers the rows hold: each sample, or min, mean, max and p95 of each series and period."""
    total = 0
    for one in runs:
        width = len(one.layout.keys)
        for place in range(width):
            column = one.column(COUNT * width + place if rolled else place)
            total += sum(number == number for number in column) * (4 if rolled else 1)
    return total


def _milliseconds(work: Callable[[], object]) -> float:
    costs: list[float] = []
    for _ in range(ASKED):
        began = time.perf_counter()
        work()
        costs.append((time.perf_counter() - began) * 1e3)
    return median(costs)


BENCHMARK = Benchmark(
    "recording", f"The recorder on {GPUS} GPUs × {PROCESSES} processes at 2 Hz; `--long` records a whole day.", run
)
