"""The probe: reports the allocator's blocks with their purposes and their owners."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import ModuleType
from typing import Any, Optional

from blackbox.agent.probe import AgentContext
from blackbox.agent.probes.torch.allocator import BlocksUnknownError, TorchAllocator, in_one_line
from blackbox.agent.probes.torch.description import (
    Purposes,
    purposes_of,
    with_blocks,
    with_stacks,
    without_blocks,
)
from blackbox.agent.probes.torch.out_of_memory import OutOfMemoryWatch
from blackbox.agent.probes.torch.owners import Owners
from blackbox.agent.probes.torch.sleep import SleepingSegments
from blackbox.agent.probes.torch.tensors import Tensors
from blackbox.wire.report import AllocatorReport, Report
from blackbox.wire.segments import no_yield, read_segments
from blackbox.wire.stacks import owner_stacks


class TorchProbe:
    """Reports on the PyTorch of this process."""

    source = "pytorch"

    def __init__(self, torch: ModuleType, context: AgentContext) -> None:
        self._torch = torch
        self._context = context
        self._allocator = TorchAllocator(torch)
        self._tensors = Tensors(torch, context)
        self._owners = Owners(context)
        self._sleeping = SleepingSegments()
        self._out_of_memory = OutOfMemoryWatch(torch, context, self._allocator, self._at_refusal)

    def watch(self, late: bool) -> None:
        """Places the hooks. `late`: the program may have set up models already, which are searched for."""
        steps: list[Callable[[], object]] = [
            self._tensors.watch,
            self._allocator.history.watch,
            self._out_of_memory.watch,
        ]
        if late:
            steps.append(self._tensors.search)
        if "threads" in self._context.extras:
            steps.append(lambda: self._owners.switch_on(self._torch))
        for step in steps:
            try:
                step()
            except Exception:  # noqa: S112 - another version of PyTorch: less to see
                continue

    def report(self, full: bool) -> Optional[Report]:  # noqa: UP045 - the Protocol's spelling
        """See `Probe`."""
        if not self._allocator.initialized:
            return None
        taken_at = time.monotonic()
        if self._owners.on:
            self._owners.add_cost()
        allocators = self._now(self._context.yield_gil) if full or self._sleeping.changed else self._counted()
        return Report(self.source, taken_at, tuple(allocators.values()))

    def _now(
        self, yield_gil: Callable[[], object] = no_yield, segments: list[dict[str, Any]] | None = None
    ) -> dict[int, AllocatorReport]:
        """Every allocator by device, with its blocks where they can be listed; of `segments`, where these were.

        What changes while the program runs is read first, in one go; `yield_gil` is called only after that.
        """
        try:
            return self._with_blocks(self._allocator.segments() if segments is None else segments, yield_gil)
        except BlocksUnknownError as error:
            reason = str(error)
        except Exception as error:
            reason = f"this version of PyTorch lists them as no other does: {in_one_line(error)}"
        return {
            device: report._replace(unknown={**report.unknown, "blocks": reason})
            for device, report in self._counted().items()
        }

    def _with_blocks(
        self, segments: list[dict[str, Any]], yield_gil: Callable[[], object]
    ) -> dict[int, AllocatorReport]:
        """See `_now`."""
        awake = self._sleeping.split_off(segments)
        tensors = self._tensors
        purposes = Purposes(list(tensors.places()), tensors.has_modules, tensors.gradients())
        owners, times = self._owners.now(), self._owners.times()
        yield_gil()
        reports: dict[int, AllocatorReport] = {}
        for device, memory in read_segments(awake, yield_gil).items():
            reports[device] = with_blocks(memory, purposes, owners, times)
            yield_gil()
        if self._allocator.history.has_cheap_stacks:
            with suppress(Exception):  # a history of another shape: the blocks are told
                purposes_at = {device: purposes_of(report) for device, report in reports.items()}
                owned = owner_stacks(awake, purposes_at, yield_gil)
                reports = {device: with_stacks(report, owned.get(device)) for device, report in reports.items()}
        return self._named(reports.items())

    def _at_refusal(self, segments: list[dict[str, Any]] | None) -> dict[int, AllocatorReport]:
        """Its stacks of blocks are those of the history beside it."""
        reports = self._now(segments=segments)
        return {
            device: report if report.blocks is None else report._replace(blocks=report.blocks._replace(stack=None))
            for device, report in reports.items()
        }

    def _counted(self) -> dict[int, AllocatorReport]:
        """Every allocator by device, without its blocks."""
        return self._named(
            (device, without_blocks(counters, self._sleeping.of(device)))
            for device, counters in self._allocator.counters().items()
        )

    def _named(self, reports: Iterable[tuple[int, AllocatorReport]]) -> dict[int, AllocatorReport]:
        """With the GPU's UUID. A device without a known UUID is left out: its memory could not be assigned to a GPU."""
        named: dict[int, AllocatorReport] = {}
        for device, report in reports:
            with suppress(Exception):  # a device that is lost: the others are told
                uuid = self._allocator.uuid_of(device)
                if uuid is not None:
                    named[device] = report._replace(gpu_uuid=uuid, limit_bytes=self._allocator.limit_bytes(device))
        return named
