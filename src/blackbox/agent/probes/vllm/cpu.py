"""Memory of a CPU-only vLLM, told as if an allocator of a GPU held it: for tests (see `CPU_VARIABLE`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blackbox.agent.probes.vllm.layout import KvCacheMemory
from blackbox.wire.report import STATES, TYPES, AllocatorReport, BlockColumns

_LABELS = ((None, "tensor"),)


def allocator_of(model: Any, place: KvCacheMemory, gpu_uuid: str) -> AllocatorReport:
    """The weights of the model and the tensors of the KV cache."""
    spans = {address: (size, TYPES.index("weight")) for address, size in _weights(model)}
    spans.update((address, (size, TYPES.index("kv_cache"))) for address, size in place.ranges)
    addresses = sorted(spans)
    blocks = BlockColumns(
        address=addresses,
        size=[spans[address][0] for address in addresses],
        state=[STATES.index("active")] * len(addresses),
        type=[spans[address][1] for address in addresses],
        label=[0] * len(addresses),
        labels=_LABELS,
    )
    held = sum(blocks.size)
    return AllocatorReport(gpu_uuid, held, held, blocks=blocks, unknown={"inactive_split_bytes": "not an allocator"})


def _weights(model: Any) -> Iterator[tuple[int, int]]:
    """(address, size) of each storage."""
    for tensors in (model.parameters(), model.buffers()) if model is not None else ():
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if storage.nbytes():
                yield storage.data_ptr(), storage.nbytes()
