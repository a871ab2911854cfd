"""The demo's leaking notebook, life after life on a simulated clock, and what the forecast says of its MIG slice.

`python -m tests.leaking_lives [SEED]` prints a line for each of ten lives.
"""

import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from blackbox.analysis.compare import compare
from blackbox.analysis.forecast import WINDOWS_SECONDS, forecast
from blackbox.analysis.growth_origin import growth_origin
from blackbox.analysis.trend import POINTS_MAX as TREND_POINTS
from blackbox.merge import merge
from blackbox.model.forecast import GrowthOrigin, Outlook
from blackbox.model.moment import Moment
from blackbox.model.query import History, Point, Series
from blackbox.model.sample import Sample
from blackbox.model.view import with_blocks
from blackbox.sources.simulated import machine
from blackbox.sources.simulated.gpu import SimulatedGpu
from blackbox.sources.simulated.notebook import Notebook
from blackbox.sources.simulated.process import Identity, SimulatedProcess

LIVES = 10
STEP_SECONDS = 0.5
AHEAD_SECONDS = 90
"""For so long before a refusal it must have been told."""
SHARE_MAX = 0.2
"""How far off the time may be, of what it then takes."""
OFF_SECONDS_MAX = 15.0
"""Later answers may be off by so much where that is more: what a run keeps is chance, and few runs are left."""
ASK_SECONDS = 5.0
LEAK = "layers.py:52"
"""Where the notebook allocates what it never lets go."""
STARTED = 1_800_000_000.0
NO_KV = History(from_=0.0, to=1.0, step_seconds=1.0, series=(), series_omitted=0)


class Told(NamedTuple):
    """What was told so long before a refusal of the slice; who lived on it, and since when."""

    ahead: float
    outlook: Outlook
    pid: int
    born: float
    origin: GrowthOrigin | None
    """What the rise is for, and from which lines, as measured since it began."""

    @property
    def is_explained(self) -> bool:
        """Whether it tells what for, and the line that keeps it."""
        found = self.origin
        return found is not None and found.purpose == "activation" and (found.frames or ("",))[0].startswith(LEAK)

    @property
    def is_right(self) -> bool:
        """Whether the slice's row is near enough to what it then took, and tells who grows and since when."""
        likely, grower = self.outlook.full_in_seconds, self.outlook.grower
        if likely is None or grower is None or grower.pid != self.pid or grower.since < self.born:
            return False
        allowed = SHARE_MAX * self.ahead
        return abs(likely - self.ahead) <= (allowed if self.ahead >= AHEAD_SECONDS else max(allowed, OFF_SECONDS_MAX))


class Life(NamedTuple):
    seconds: float
    told: tuple[Told, ...]

    @property
    def is_told(self) -> bool:
        """Whether every answer of the last `AHEAD_SECONDS` was right, and told what for."""
        return all(one.is_right and one.is_explained for one in self.told)


def lives(seed: int, count: int = LIVES) -> Iterator[Life]:
    """So many lives, one after the other."""
    gpu = SimulatedGpu("GPU-0", 0, "parent", machine.GPU_BYTES, machine.GPU_DRIVER_RESERVED_BYTES)
    mig = SimulatedGpu("MIG-0", 0, "slice", machine.MIG_BYTES, machine.MIG_DRIVER_RESERVED_BYTES, gpu)
    pids = iter(range(machine.NOTEBOOK_PID_FIRST, machine.NOTEBOOK_PID_MAX))

    def start(now: float) -> SimulatedProcess:
        return SimulatedProcess(Identity(next(pids), "python", "bob", 1_002, now), mig, machine.CONTEXT_BYTES)

    notebook = Notebook(start, Random(f"{seed}/notebook"), 0.0)
    slice_course: list[tuple[float, int]] = []
    own: list[tuple[float, int]] = []
    samples: list[Sample] = []
    now = 0.0
    while count:
        deaths = notebook.deaths
        notebook.step(now)
        slice_course.append((now, mig.used_bytes))
        if notebook.deaths > deaths:
            count -= 1
            yield Life(now - own[0][0], tuple(_asked(samples, slice_course, own, now)))
            own, samples = [], []
        process = notebook.process
        if process is not None:
            own.append((now, process.used_bytes))
            samples.append(
                Sample(
                    source="simulated",
                    taken_at=now,
                    devices=(gpu.device(now), mig.device(now)),
                    processes=(process.row(STARTED, now),),
                    processes_taken_at=now,
                    allocators=(process.report(STARTED, now, now),) if now % ASK_SECONDS == 0 else (),
                )
            )
        now = round(now + STEP_SECONDS, 3)


def _asked(
    samples: Sequence[Sample], slice_course: Sequence[tuple[float, int]], own: Sequence[tuple[float, int]], died: float
) -> Iterator[Told]:
    ahead = float(AHEAD_SECONDS)
    while ahead > 0:
        now = died - ahead
        sample = max((one for one in samples if one.taken_at <= now), key=lambda one: one.taken_at)
        moment = _moment(sample)
        row = sample.processes[0]
        histories = [
            _history(
                window, now, _series("MIG-0", slice_course, window, now), _series("MIG-0", own, window, now, row.pid)
            )
            for window in WINDOWS_SECONDS
        ]
        found = forecast(moment.timestamp, merge(moment), histories, NO_KV)
        whole, outlook = found.gpus
        assert whole.full_in_seconds is None or whole.grower is not None, "also of the GPU that the slice is of"
        since = now if outlook.grower is None else outlook.grower.since - STARTED
        yield Told(ahead, outlook, row.pid, STARTED + own[0][0], _origin(samples, since, now))
        ahead -= ASK_SECONDS


def _moment(sample: Sample) -> Moment:
    now = sample.taken_at
    return Moment(seq=1, timestamp=STARTED + now, taken_at=now, host="here", samples=(sample,), sources=())


def _origin(samples: Sequence[Sample], since: float, now: float) -> GrowthOrigin | None:
    """From the blocks told since the rise began."""
    told = [one for one in samples if one.allocators and since <= one.taken_at <= now]
    if not told:
        return None
    before, after = (with_blocks(merge(_moment(one)), "stacks", 0) for one in (told[0], told[-1]))
    return growth_origin(after.processes[0], compare(before, after), ())


def _history(window: float, now: float, *series: Series) -> History:
    to = STARTED + now
    return History(
        from_=to - window, to=to, step_seconds=_step(window), series=series, series_omitted=0
    )  # fmt: skip


def _step(window: float) -> float:
    return max(2 * STEP_SECONDS, window / TREND_POINTS)


def _series(
    uuid: str, course: Sequence[tuple[float, int]], window: float, now: float, pid: int | None = None
) -> Series:
    """In steps, as the recording cuts them."""
    step = _step(window)
    steps: dict[int, list[int]] = {}
    first = bisect_left(course, (now - window, 0))
    for time, value in course[first:]:
        if time <= now:
            steps.setdefault(int((STARTED + time) // step), []).append(value)
    points: list[Point] = [
        (place * step, min(values), sum(values) / len(values), max(values)) for place, values in sorted(steps.items())
    ]
    start = None if pid is None else STARTED + course[0][0]
    return Series(
        gpu=0, pid=pid, metric="used_bytes", points=points, gpu_uuid=uuid, name=None, start_time=start, engine=None
    )


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    for life in lives(seed):
        said = " ".join(
            f"{one.ahead:.0f}:{'-' if one.outlook.full_in_seconds is None else round(one.outlook.full_in_seconds)}"
            f"{'' if one.is_right else '!'}{'' if one.is_explained else '?'}"
            for one in life.told
        )
        print(f"{life.seconds:6.1f} s  {'told' if life.is_told else 'NOT '}  {said}")


if __name__ == "__main__":
    main()
