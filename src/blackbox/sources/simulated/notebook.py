"""A simulated notebook that keeps every loss with its graph: it leaks until an allocation fails, dies, and is
started again under a new pid."""

from collections.abc import Callable
from random import Random

from blackbox.sources.simulated.allocator import ACTIVATION, WEIGHT, OutOfMemoryError
from blackbox.sources.simulated.process import Process
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


class Notebook:
    """`process` is None while nobody has started it."""

    def __init__(self, start: Callable[[float], Process], rng: Random, now: float) -> None:
        self.busy_ratio = 0.0
        self.deaths = 0
        self.process: Process | None = None
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
        except OutOfMemoryError:
            self.process.exit()
            self.process = None
            self.deaths += 1
            self._next_at = now + PAUSE_SECONDS

    def _started(self, now: float) -> Process:
        process = self._start(now)
        for size in LAYER_WEIGHT_BYTES * LAYERS:
            process.allocator.allocate(size, WEIGHT, process.pid)
        return process

    def _run_cell(self, process: Process, now: float) -> None:
        process.run(process.pid, now)
        self.busy_ratio = self._rng.uniform(0.5, 0.9)
        scratch = process.allocator.allocate(self._rng.randint(*SCRATCH_BYTES), ACTIVATION, process.pid)
        process.allocator.allocate(self._rng.randint(*KEPT_BYTES), ACTIVATION, process.pid)
        process.allocator.allocate(LOSS_BYTES, ACTIVATION, process.pid)
        process.allocator.free(scratch)
