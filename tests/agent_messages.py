"""What an agent may say, with everything in it."""

from typing import Any

from blackbox.wire.report import (
    NO_STACK,
    NOT_KNOWN,
    AllocatorReport,
    AllocatorSettings,
    BlockColumns,
    Cost,
    EngineReport,
    Hello,
    KernelReport,
    KvLayout,
    KvPiece,
    KvStates,
    Oom,
    OwnerStack,
    OwnerThread,
    Report,
    ScopeEdge,
    SegmentRow,
    TraceStep,
)

COST = Cost(0.5, 7, 1)
HELLO = Hello(4711, 4026531836, 123456)


def blocks(rows: int = 3) -> BlockColumns:
    return BlockColumns(
        address=range(0x7F00, 0x7F00 + 512 * rows, 512),
        size=[512] * rows,
        state=[1] * rows,
        type=[2] * rows,
        requested=[500, NOT_KNOWN, *[500] * rows][:rows],
        stream=[0] * rows,
        thread=[4711] * rows,
        label=[1] * rows,
        labels=((None, None), ("gradient", "tensor")),
    )


def allocator(columns: BlockColumns | None = None, **changes: Any) -> AllocatorReport:
    fields: dict[str, Any] = {
        "gpu_uuid": "GPU-0",
        "reserved_bytes": 1536,
        "allocated_bytes": 1536,
        "blocks": columns,
        "threads": (OwnerThread(4711, 1536, "main"),),
    }
    return AllocatorReport(**(fields | changes))


def report(*allocators: AllocatorReport, **changes: Any) -> Report:
    return Report(**({"source": "heap", "taken_at": 1000.0, "allocators": allocators} | changes))


WHOLE = report(
    allocator(blocks()),
    allocator(None, gpu_uuid="GPU-1", unknown={"blocks": "too many"}),
    kv_layouts=(KvLayout("0", "GPU-0", ((0x7F00, 1024),), 2, (KvPiece(0x7F00, 512, 512),)),),
    kv_states=(KvStates("0", b"\1\2"), KvStates("1", b"")),
    kernels=(KernelReport("process", threads_per_block=256, occupancy=50.5),),
    engines=(EngineReport("vllm", "tiny", kv_pages_total=2),),
)
ORIGINS = blocks()._replace(stack=[0, NO_STACK, 0], starts=[1, 0, 1], pool=[0, 0, 2], allocated_ms=[0, 5, 6])
ORIGINAL = report(allocator(ORIGINS, stacks=(OwnerStack(("train.py:1 step",), 1024, 2),)))
"""With all that `BLOCK_ORIGINS` adds."""
OOM = Oom(
    "heap", 1000.0, 1.8e9, "GPU-0", 1 << 30, 4711, 80 << 30, 0, allocator(blocks()),
    (TraceStep("alloc", 0x7F00, 512, 0, 1, 0), TraceStep("oom", 0, 1 << 30)), (("train.py:1 step",),), "no",
)  # fmt: skip
TRACED_OOM = OOM._replace(
    allocator=allocator(blocks()._replace(stack=[1, NO_STACK, 0])),
    trace=(OOM.trace[0]._replace(pool=(0, 1), tag="warm-up"), OOM.trace[1]._replace(pool=(0, 0))),
    stacks=(("train.py:1 step", "train.py:9 <module>"), ("model.py:3 forward", "train.py:9 <module>")),
    segments=(SegmentRow(0x7F00, 1536, 0, (0, 1), True, False, True),),
    settings=AllocatorSettings(20 << 20, True, (0, 4)),
    scopes=(ScopeEdge("ProfilerStep#1", "START", 1),),
)
"""With all that `OOM_TRACE` adds."""
