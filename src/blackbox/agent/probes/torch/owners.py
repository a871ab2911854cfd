"""Which thread allocated what, and when, where the user asks for it (`threads`): allocating and freeing take 6 us
more."""

from __future__ import annotations

import importlib
import itertools
import threading
import time
from collections.abc import Sequence
from types import ModuleType

from blackbox.agent.probe import AgentContext
from blackbox.wire.report import NO_THREAD, OwnerThread

CALL_SECONDS = 3e-6
"""One call of a hook: allocating and freeing took 6 us more on an H200."""
LIVE_MAX = 1_000_000
"""Ten times the blocks a report can hold; beyond it owners are not remembered."""
TRACES = (
    ("_activate_gpu_trace", "torch.cuda._gpu_trace"),
    ("_activate_cuda_trace", "torch.utils._cuda_trace"),  # up to 2.0
)


class Owners:
    """The threads of the allocations made since `switch_on`."""

    def __init__(self, context: AgentContext) -> None:
        self.on: bool = False
        self._context = context
        self._owner: dict[int, int] = {}
        """Address -> thread; filled when memory is allocated, emptied when it is freed."""
        self._allocated_at: dict[int, float] = {}
        """Address -> Unix seconds, likewise. A dictionary of its own: pairs would make the garbage collector run."""
        self._calls = itertools.count()
        self._calls_counted = 0

    def switch_on(self, torch: ModuleType) -> None:
        """Registers for every allocation. PyTorch has no way to unregister."""
        for activate, module in TRACES:
            if hasattr(torch._C, activate):
                trace = importlib.import_module(module)
                trace.register_callback_for_memory_allocation(self._allocated)
                trace.register_callback_for_memory_deallocation(self._freed)
                getattr(torch._C, activate)()
                self.on = True
                return

    def now(self) -> dict[int, int] | None:
        """Address -> thread of what lives at this moment; None where that was not recorded."""
        return self._owner.copy() if self.on else None

    def times(self) -> dict[int, float] | None:
        """Address -> Unix seconds of its allocation, likewise."""
        return self._allocated_at.copy() if self.on else None

    def add_cost(self) -> None:
        """Adds the CPU time of the hooks since the last call to the agent's cost."""
        calls = next(self._calls)
        self._context.add_cost((calls - self._calls_counted) * CALL_SECONDS)
        self._calls_counted = calls

    def _allocated(self, address: int) -> None:
        next(self._calls)
        if len(self._owner) < LIVE_MAX:
            self._owner[address] = threading.get_native_id()
            self._allocated_at[address] = time.time()

    def _freed(self, address: int) -> None:
        next(self._calls)
        self._owner.pop(address, None)
        self._allocated_at.pop(address, None)


def sums(threads: list[int], sizes: Sequence[int]) -> tuple[OwnerThread, ...]:
    """The bytes of each known thread."""
    owned: dict[int, int] = {}
    for thread, size in zip(threads, sizes):  # noqa: B905 - Python 3.9
        owned[thread] = owned.get(thread, 0) + size
    owned.pop(NO_THREAD, None)
    return tuple(OwnerThread(thread, size) for thread, size in owned.items())
