"""The probe: when to record, and the averages over the kernels of a window."""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Optional

from blackbox.agent import devices
from blackbox.agent.devices import Chip
from blackbox.agent.probes.cupti.library import BusyError, Cupti, CuptiError
from blackbox.agent.probes.cupti.occupancy import fit
from blackbox.agent.probes.cupti.records import Launch
from blackbox.wire.report import KernelReport, Report

PAUSE_SECONDS = 9.5
"""Between two windows, each of which lasts from one tick to the next: half a second in ten. While one is open, CUPTI
costs the program some microseconds per kernel."""
BUSY_SECONDS = 60.0
"""From finding another profiler at work to the next try."""
PROFILER = "torch.autograd.profiler"
SWITCHES = ("_prepare_profiler", "_enable_profiler")
"""Its functions that start PyTorch's own profiler."""
COUNTERS = (
    "atomic_operations", "threads_per_block", "occupancy", "active_blocks", "memory_throughput", "dram_read_bytes",
    "dram_write_bytes",
)  # fmt: skip
NOT_COUNTED = "records of launches do not count it"
THEORETICAL = "theoretical: what the kernels' sizes leave room for, weighted with the time each ran; not counted"
RETIRED = "the program has used PyTorch's profiler, and CUPTI is left to it since"


class CuptiProbe:
    """Reports on the kernels of this process."""

    source = "cupti"

    def __init__(
        self,
        torch: ModuleType,
        chip_of: Callable[[int], Optional[Chip]] = devices.chip_of,  # noqa: UP045
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`chip_of` returns the limits of the program's device of that number."""
        self._torch = torch
        self._chip_of = chip_of
        self._clock = clock
        self._cupti: Cupti | None = None
        self._lock = threading.Lock()
        """Held while a window is opened or closed: the program's own profiler waits for that."""
        self._is_open = False
        self._is_retired = False
        self._due_at = float("-inf")
        self._reported: KernelReport | None = None
        self._reported_at = 0.0

    def watch(self) -> None:
        """From now on, stops when the program starts PyTorch's profiler."""
        profiler = sys.modules.get(PROFILER)
        for name in SWITCHES:
            switch = getattr(profiler, name, None)
            if profiler is not None and switch is not None:
                setattr(profiler, name, self._after_retiring(switch))

    def retire(self) -> None:
        """Stops using CUPTI for good. Any thread may call; takes some milliseconds while a window is open."""
        with self._lock:
            if not self._is_retired:
                self._is_retired = True
                self._close()
                self._set(_none(RETIRED))

    def report(self, full: bool) -> Optional[Report]:  # noqa: ARG002, UP045
        """See `Probe`."""
        if not self._torch.cuda.is_initialized():
            return None
        with self._lock:
            if not self._is_retired:
                self._step()
            if self._reported is None:
                return None
            return Report(self.source, self._reported_at, kernels=(self._reported,))

    def _step(self) -> None:
        if self._is_open:
            self._due_at = self._clock() + PAUSE_SECONDS
            launches = self._close()
            if launches is not None:
                self._set(_summed(launches, self._chip_of))
        elif self._clock() >= self._due_at:
            self._open()

    def _open(self) -> None:
        try:
            self._cupti = self._cupti or Cupti()
            self._cupti.open()
            self._is_open = True
        except BusyError as busy:
            self._due_at = self._clock() + BUSY_SECONDS
            self._set(_none(str(busy)))
        except (CuptiError, OSError, AttributeError) as error:
            self._give_up(str(error))

    def _close(self) -> list[Launch] | None:
        if not self._is_open or self._cupti is None:
            return None
        self._is_open = False
        try:
            return self._cupti.close()
        except CuptiError as error:
            self._give_up(str(error))
            return None

    def _give_up(self, reason: str) -> None:
        self._is_retired = True
        self._set(_none(reason))

    def _set(self, report: KernelReport) -> None:
        self._reported, self._reported_at = report, self._clock()

    def _after_retiring(self, switch: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(switch)
        def switched(*arguments: Any, **keywords: Any) -> Any:
            self.retire()
            return switch(*arguments, **keywords)

        return switched


def _summed(launches: Sequence[Launch], chip_of: Callable[[int], Chip | None]) -> KernelReport:
    """Averages weighted by the time each kernel ran; of the block sizes, the one that ran longest."""
    seconds = sum(launch.nanoseconds for launch in launches)
    if not seconds:
        return _none("no kernel of this process ended while it was looked at")
    by_size: dict[int, int] = {}
    occupancy = blocks = 0.0
    for launch in launches:
        by_size[launch.threads] = by_size.get(launch.threads, 0) + launch.nanoseconds
        chip = chip_of(launch.device)
        if chip is None:
            return KernelReport("process", threads_per_block=max(by_size, key=by_size.__getitem__), unknown=_unknown())
        room = fit(chip, launch.threads, launch.registers, launch.shared_bytes, launch.shared_of_multiprocessor)
        occupancy += room.occupancy_percent * launch.nanoseconds
        blocks += min(launch.grid, room.blocks * chip.multiprocessors) * launch.nanoseconds
    return KernelReport(
        "process",
        threads_per_block=max(by_size, key=by_size.__getitem__),
        occupancy=round(occupancy / seconds, 2),
        active_blocks=round(blocks / seconds),
        unknown={**_unknown(), "occupancy": THEORETICAL, "active_blocks": THEORETICAL},
    )


def _unknown() -> dict[str, str]:
    return {name: NOT_COUNTED for name in COUNTERS if name != "threads_per_block"}


def _none(reason: str) -> KernelReport:
    return KernelReport("process", unknown=dict.fromkeys(COUNTERS, reason))
