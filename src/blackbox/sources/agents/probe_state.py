"""What one probe of one process has reported so far: its newest counters, and the last details with their age."""

from typing import NamedTuple

from blackbox.model.block_arrays import ListedBlocks
from blackbox.model.parts import OwningStack
from blackbox.sources.agents.budgets import weigh
from blackbox.sources.agents.decode import Columns, ReportMessage
from blackbox.sources.agents.rows import block_rows, stack_rows
from blackbox.sources.agents.threads import ThreadIds
from blackbox.wire.report import AllocatorReport, OwnerThread, Report

CLOCKS_APART_SECONDS_MAX = 5.0
"""Agents stamp with the machine's own clock. One that is further off than a report can be on its way has another."""


class Details(NamedTuple):
    """The parts of an allocator that only full reports have."""

    taken_at: float
    blocks: ListedBlocks | None
    threads: tuple[OwnerThread, ...] | None
    refused: str | None
    """Why there are no blocks, although some were reported."""
    stacks: tuple[OwningStack, ...] | None = None
    """Made once: the same objects in every sample until the next full report."""


class ProbeState:
    """The newest report of a probe, with what it left out taken from the ones before."""

    def __init__(self, message: ReportMessage, now: float, ids: ThreadIds) -> None:
        self.report = message.report
        self.taken_at = 0.0
        self.details: dict[str, Details] = {}
        """By device."""
        self.rows = 0
        """Blocks held in memory."""
        self.kept_bytes = 0
        """All else that is held in memory."""
        self.parts = 0
        """What is looked at in every sample."""
        self.update(message, now, ids)

    def update(self, message: ReportMessage, now: float, ids: ThreadIds) -> None:
        """Takes in a newer report."""
        reported = message.report
        self.taken_at = reported.taken_at if 0 <= now - reported.taken_at <= CLOCKS_APART_SECONDS_MAX else now
        self.report = _over(self.report, reported)
        before, self.details = self.details, {}
        for allocator, columns in zip(reported.allocators, message.blocks, strict=True):
            self.details[allocator.gpu_uuid] = self._details(allocator, columns, before.get(allocator.gpu_uuid), ids)
        self.rows = sum(len(details.blocks or ()) for details in self.details.values())
        held = [(details.threads, details.stacks) for details in self.details.values()]
        self.kept_bytes = weigh(self.report) + sum(map(weigh, held))
        self.parts = (
            len(self.report.allocators)
            + len(self.report.kv_layouts or ())
            + len(self.report.engines or ())
            + sum(len(threads or ()) for threads, _ in held)
        )

    def drop_blocks(self, reason: str) -> None:
        """Forgets the blocks, for `reason`."""
        self.rows = 0
        self.details = {uuid: details._replace(blocks=None, refused=reason) for uuid, details in self.details.items()}

    def _details(
        self, allocator: AllocatorReport, columns: Columns | None, before: Details | None, ids: ThreadIds
    ) -> Details:
        if before is None:
            before = Details(self.taken_at, None, None, None)
        threads = before.threads if allocator.threads is None else allocator.threads
        if columns is None:
            has_reason = "blocks" in allocator.unknown
            if has_reason:
                return before._replace(blocks=None, threads=threads, stacks=None)
            return before._replace(threads=threads)
        stacks = None if allocator.stacks is None else stack_rows(allocator.stacks)
        held = sum(columns.size)
        if held != allocator.reserved_bytes:
            refused = f"its blocks sum to {held} bytes, not to the {allocator.reserved_bytes} it holds"
            return Details(self.taken_at, None, threads, refused, stacks)
        return Details(self.taken_at, block_rows(columns, ids), threads, None, stacks)


def _over(before: Report, reported: Report) -> Report:
    """The newer report; what it leaves out as unchanged is taken from the one before."""
    return reported._replace(
        kv_layouts=before.kv_layouts if reported.kv_layouts is None else reported.kv_layouts,
        kv_states=before.kv_states if reported.kv_states is None else reported.kv_states,
        kernels=before.kernels if reported.kernels is None else reported.kernels,
        engines=before.engines if reported.engines is None else reported.engines,
    )
