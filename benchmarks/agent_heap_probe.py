"""The probe of `agent_heap`."""

import time
from types import ModuleType

from blackbox.agent.probe import AgentContext
from blackbox.wire.report import AllocatorReport, BlockColumns, Report


class HeapProbe:
    source = "heap"

    def __init__(self, heap: ModuleType) -> None:
        self._heap = heap

    def report(self, full: bool) -> Report:
        blocks = self._heap.blocks
        held = len(blocks) * self._heap.SIZE
        columns = None
        if full:
            columns = BlockColumns(
                address=[block["address"] for block in blocks],
                size=[block["size"] for block in blocks],
                state=[block["state"] == "active_allocated" for block in blocks],
                type=[2] * len(blocks),
                requested=[block["requested_size"] for block in blocks],
                stream=[0] * len(blocks),
                label=[0] * len(blocks),
                labels=((None, "residual"),),
            )
        allocator = AllocatorReport(self._heap.GPU, held, 2 * held // 3, 0, blocks=columns)
        return Report(self.source, time.monotonic(), (allocator,))


def make(module: ModuleType, context: AgentContext) -> HeapProbe:
    module.on_begin.append(context.ensure_thread)
    return HeapProbe(module)
