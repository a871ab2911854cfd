"""A simulated training job: forward, backward and optimizer steps over batches of varying length.

Each batch asks for other sizes than the one before, and gradients land in the holes activations leave, so the
caching allocator fragments as it does in real jobs.
"""

from collections.abc import Iterator
from itertools import chain
from random import Random

from blackbox.sources.simulated.allocator import (
    ACTIVATION,
    GRADIENT,
    OPTIMIZER,
    WEIGHT,
    Block,
    OutOfMemoryError,
    Use,
)
from blackbox.sources.simulated.kernels import KernelMix
from blackbox.sources.simulated.process import SimulatedProcess

LAYERS = 16
HIDDEN = 2560
VOCABULARY = 50304
CONTEXT = 3072
PARAMETER_BYTES = 4
ACTIVATION_BYTES = 2
LAYER_PARAMETERS = (3 * HIDDEN * HIDDEN, HIDDEN * HIDDEN, 4 * HIDDEN * HIDDEN, 4 * HIDDEN * HIDDEN, 4 * HIDDEN)
"""Attention in and out, feed-forward in and out, norms."""
LAYER_ACTIVATIONS = (HIDDEN, 3 * HIDDEN, HIDDEN, 4 * HIDDEN, HIDDEN)
"""Elements per token kept for the backward pass."""
BATCH = 8
LENGTHS = range(256, CONTEXT + 1, 8)
MOMENTS = 2
"""Averages that the optimizer keeps per parameter."""
TOKEN_BYTES = 8
COPY_STREAM = 7
"""The stream on which the next batch is copied to the GPU."""
ITERATIONS_PER_EVALUATION = 50
"""After each evaluation the program empties the allocator's cache."""
LAYERS_PER_SECOND = 40
KERNELS = KernelMix(
    dram_ratio=0.55, read_ratio=0.61, occupancy_percent=56.0, threads_per_block=256, atomic_operations=310_000_000
)
BUSY_RATIO = (0.9, 1.0)
MAIN = ("train.py:88 <module>",)
STACKS = {
    WEIGHT: ("linear.py:112 __init__", "model.py:61 Block", "train.py:31 build", *MAIN),
    ACTIVATION: ("functional.py:74 linear", "model.py:83 forward", "train.py:52 step", *MAIN),
    GRADIENT: ("autograd.py:17 backward", "train.py:55 step", *MAIN),
    OPTIMIZER: ("adam.py:140 init_state", "train.py:57 step", *MAIN),
}
"""Where its memory is allocated, by what for."""


class TrainingJob:
    """Builds its model when made; `step` trains."""

    kernels = KERNELS

    def __init__(self, process: SimulatedProcess, autograd_thread_id: int, rng: Random) -> None:
        self.process = process
        self.busy_ratio = 0.0
        self.batches_skipped = 0
        """Batches that did not fit."""
        self._main = process.pid
        self._autograd = autograd_thread_id
        self._thread = self._main
        self._rng = rng
        process.add_thread(autograd_thread_id, "pt_autograd_0")
        self._outer_weights = self._load(VOCABULARY * HIDDEN, CONTEXT * HIDDEN, 2 * HIDDEN)
        self._layer_weights = [self._load(*LAYER_PARAMETERS) for _ in range(LAYERS)]
        self._optimizer: list[Block] = []
        self._saved: list[Block] = []
        self._passing: dict[Block, None] = {}
        """Everything that lives for one iteration at most."""
        self._work = self._train()

    def step(self, now: float, seconds: float) -> None:
        """Lets `seconds` pass."""
        self.process.allocator.now = now
        for _ in range(round(LAYERS_PER_SECOND * seconds)):
            next(self._work)
        self.process.run(self._thread, now)
        self.busy_ratio = self._rng.uniform(*BUSY_RATIO)

    def _train(self) -> Iterator[None]:
        """The training loop; it pauses where time passes."""
        iteration = 0
        while True:
            iteration += 1
            try:
                yield from self._iterate()
            except OutOfMemoryError:
                self.batches_skipped += 1
                self._forget()
                self.process.allocator.empty_cache()
                yield
            if iteration % ITERATIONS_PER_EVALUATION == 0:
                self.process.allocator.empty_cache()

    def _iterate(self) -> Iterator[None]:
        tokens = BATCH * self._rng.choice(LENGTHS)
        self._thread = self._main
        batch = self._allocate(tokens * TOKEN_BYTES, ACTIVATION, COPY_STREAM)
        for _ in range(LAYERS):
            self._forward(tokens)
            yield
        self._thread = self._autograd
        self._free(self._allocate(tokens * VOCABULARY * ACTIVATION_BYTES, ACTIVATION))
        self._passing.pop(batch)
        self.process.allocator.free_later(batch)
        for weights in reversed(self._layer_weights):
            self._backward(weights)
            yield
        for weight in self._outer_weights:
            self._allocate(weight.requested_bytes, GRADIENT)
        yield
        self._thread = self._main
        self._update()
        yield
        self._forget()
        yield

    def _forward(self, tokens: int) -> None:
        self._saved += [
            self._allocate(tokens * elements * ACTIVATION_BYTES, ACTIVATION) for elements in LAYER_ACTIVATIONS
        ]

    def _backward(self, weights: list[Block]) -> None:
        """One layer: the gradients of its weights come, its activations go."""
        for weight in reversed(weights):
            saved = self._saved.pop()
            incoming = self._allocate(saved.requested_bytes, ACTIVATION)
            self._allocate(weight.requested_bytes, GRADIENT)
            self._free(saved)
            self._free(incoming)

    def _update(self) -> None:
        """The optimizer makes its averages at the first step."""
        weights = [*self._outer_weights, *chain.from_iterable(self._layer_weights)]
        while len(self._optimizer) < MOMENTS * len(weights):
            weight = weights[len(self._optimizer) // MOMENTS]
            self._optimizer.append(self._kept(weight.requested_bytes, OPTIMIZER))

    def _forget(self) -> None:
        """Drops the iteration's tensors, those of one that failed included."""
        self.process.allocator.finish_pending()
        for block in list(self._passing):
            self._free(block)
        self._saved.clear()

    def _load(self, *parameters: int) -> list[Block]:
        return [self._kept(number * PARAMETER_BYTES, WEIGHT) for number in parameters]

    def _kept(self, size: int, use: Use) -> Block:
        return self.process.allocator.allocate(size, use, self._main, stack=STACKS[use])

    def _allocate(self, size: int, use: Use, stream: int = 0) -> Block:
        block = self.process.allocator.allocate(size, use, self._thread, stream, STACKS[use])
        self._passing[block] = None
        return block

    def _free(self, block: Block) -> None:
        del self._passing[block]
        self.process.allocator.free(block)
