"""A simulated notebook that keeps every loss with its graph: it leaks until an allocation fails, dies, and is
started again under a new pid."""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from blackbox.model.event import TraceStep
from blackbox.model.parts import Allocator
from blackbox.sources.simulated.allocator import ACTIVATION, WEIGHT, Block, OutOfMemoryError
from blackbox.sources.simulated.process import SimulatedProcess
from blackbox.sources.simulated.units import KIB, MIB

LAYERS = 20
LAYER_WEIGHT_BYTES = (72 * MIB, 24 * MIB, 8 * KIB)
CELL_SECONDS = 2.0
"""Between two runs of the leaking cell."""
KEPT_BYTES = (200 * MIB, 480 * MIB)
"""What a run never lets go: the activations its loss refers to."""
LOSS_BYTES = 4
SCRATCH_BYTES = (40 * MIB, 900 * MIB)
"""What a run lets go."""
PAUSE_SECONDS = 15.0
"""From its death to the next start: a person reads the traceback."""
TRACE_STEPS_MAX = 2000
"""What an agent would keep of an allocator's history; one life takes some hundred."""

CELL = ("notebook.py:31 <cell>", "notebook.py:1 <module>")
STACKS = (
    ("layers.py:18 __init__", "model.py:9 build_model", "notebook.py:4 <module>"),
    ("layers.py:44 forward", "model.py:27 forward", *CELL),
    ("layers.py:52 attention", "model.py:27 forward", *CELL),
    ("losses.py:7 cross_entropy", *CELL),
)
WEIGHTS, SCRATCH, KEPT, LOSS = range(len(STACKS))


class SimulatedFailure(NamedTuple):
    """An allocation that killed the program, as an agent inside would have seen it."""

    at: float
    """Of the machine's time, as are the times in `allocator` and `trace`."""
    name: str
    requested_bytes: int
    device_total_bytes: int
    device_free_bytes: int
    allocator: Allocator
    trace: tuple[TraceStep, ...]


class Notebook:
    """`process` is None while nobody has started it."""

    def __init__(self, start: Callable[[float], SimulatedProcess], rng: Random, now: float) -> None:
        self.busy_ratio = 0.0
        self.deaths = 0
        self.process: SimulatedProcess | None = None
        self.failure: SimulatedFailure | None = None
        """How it died last."""
        self._trace: deque[TraceStep] = deque(maxlen=TRACE_STEPS_MAX)
        self._start = start
        self._rng = rng
        self._next_at = now

    def step(self, now: float) -> None:
        """The time is `now`: runs whatever has come due."""
        self.busy_ratio = 0.0
        if self.process is not None:
            self.process.rest()
        if now < self._next_at:
            return
        if self.process is None:
            self.process = self._started(now)
        self._next_at = now + CELL_SECONDS
        try:
            self._run_cell(self.process, now)
        except OutOfMemoryError as error:
            self.failure = self._failure(self.process, now, error.requested_bytes)
            self.process.exit()
            self.process = None
            self.deaths += 1
            self._next_at = now + PAUSE_SECONDS

    def _failure(self, process: SimulatedProcess, now: float, requested_bytes: int) -> SimulatedFailure:
        return SimulatedFailure(
            at=now,
            name=process.identity.name,
            requested_bytes=requested_bytes,
            device_total_bytes=process.gpu.total_bytes,
            device_free_bytes=process.gpu.free_bytes,
            allocator=process.report(0.0, now, now),
            trace=tuple(self._trace),
        )

    def _started(self, now: float) -> SimulatedProcess:
        process = self._start(now)
        self._trace.clear()
        for size in LAYER_WEIGHT_BYTES * LAYERS:
            block = process.allocator.allocate(size, WEIGHT, process.pid, stack=STACKS[WEIGHTS])
            self._log("alloc", block, now, WEIGHTS)
        return process

    def _run_cell(self, process: SimulatedProcess, now: float) -> None:
        process.run(process.pid, now)
        process.allocator.now = now
        self.busy_ratio = self._rng.uniform(0.5, 0.9)
        scratch = self._allocate(process, self._rng.randint(*SCRATCH_BYTES), now, SCRATCH)
        self._allocate(process, self._rng.randint(*KEPT_BYTES), now, KEPT)
        self._allocate(process, LOSS_BYTES, now, LOSS)
        self._log("free_completed", scratch, now, SCRATCH)
        process.allocator.free(scratch)

    def _allocate(self, process: SimulatedProcess, size: int, now: float, stack: int) -> Block:
        block = process.allocator.allocate(size, ACTIVATION, process.pid, stack=STACKS[stack])
        self._log("alloc", block, now, stack)
        return block

    def _log(self, action: str, block: Block, now: float, stack: int) -> None:
        self._trace.append(TraceStep(action, block.address, block.size, 0, int(now * 1e6), stack))
