"""Looks into `blackbox_heap`: the smallest whole probe."""

from __future__ import annotations

import threading
import time

from blackbox.wire.report import AllocatorReport, BlockColumns, Oom, OwnerThread, Report, TraceStep


class HeapProbe:
    source = "heap"

    def __init__(self, heap) -> None:
        self._heap = heap

    def report(self, full: bool) -> Report | None:
        if not self._heap.owners:
            return None
        return Report(source=self.source, taken_at=time.monotonic(), allocators=(self.allocator(full),))

    def allocator(self, full: bool) -> AllocatorReport:
        owners = dict(self._heap.owners)
        held = sum(size for size, _ in owners.values())
        by_thread: dict[int, int] = {}
        for size, thread in owners.values():
            by_thread[thread] = by_thread.get(thread, 0) + size
        return AllocatorReport(
            gpu_uuid=self._heap.GPU,
            reserved_bytes=held,
            allocated_bytes=held,
            inactive_split_bytes=0,
            blocks=columns(owners) if full else None,
            threads=tuple(OwnerThread(thread, size) for thread, size in by_thread.items()) if full else None,
        )


def columns(owners: dict[int, tuple[int, int]]) -> BlockColumns:
    return BlockColumns(
        address=list(owners),
        size=[size for size, _ in owners.values()],
        state=[1] * len(owners),
        thread=[thread for _, thread in owners.values()],
        type=[1] * len(owners),
        label=[0] * len(owners),
        labels=((None, "tensor"),),
    )


def make(module, context) -> HeapProbe:
    probe = HeapProbe(module)
    module.on_start.append(context.ensure_thread)
    module.on_out_of_memory.append(lambda size: context.out_of_memory(out_of_memory(probe, module, size)))
    return probe


def out_of_memory(probe: HeapProbe, heap, size: int) -> Oom:
    return Oom(
        source=probe.source,
        taken_at=time.monotonic(),
        timestamp=time.time(),
        gpu_uuid=heap.GPU,
        requested_bytes=size,
        thread_id=threading.get_native_id(),
        allocator=probe.allocator(full=True),
        trace=(TraceStep("oom", 0, size, stack=0),),
        stacks=(("train.py:1 step",),),
    )
