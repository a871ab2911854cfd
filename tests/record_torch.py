"""Writes the captures of `tests/recorded/torch`: the same simulated memory in an old and a new format."""

import pickle
from pathlib import Path
from typing import Any

from blackbox.sources.simulated.allocator import ACTIVATION, WEIGHT, CachingAllocator
from tests.torch_format import Version, segments

FOLDER = Path(__file__).parent / "recorded" / "torch"
VERSIONS: tuple[Version, ...] = ((2, 0), (2, 13))
PROTOCOL = 4
LAYERS = 6
FIRST_STEP_US = 1_760_000_000_000_000


class Plenty:
    def claim(self, size: int) -> bool:
        return True

    def release(self, size: int) -> None: ...


def training(scale: int) -> CachingAllocator:
    """After a step: weights, activations of which every other was freed, two that a stream still waits for."""
    allocator = CachingAllocator(Plenty())
    for layer in range(LAYERS):
        allocator.allocate(scale * (1_000_000 + 4096 * layer), WEIGHT, thread_id=1)
        allocator.allocate(scale * 1_000, WEIGHT, thread_id=1)
    activations = [allocator.allocate(scale * 700_000, ACTIVATION, thread_id=1) for _ in range(2 * LAYERS)]
    for activation in activations[::2]:
        allocator.free(activation)
    for activation in activations[1:5:2]:
        allocator.free_later(activation)
    return allocator


def allocators() -> list[CachingAllocator]:
    """One per GPU."""
    return [training(1), training(3)]


def snapshot(version: Version) -> dict[str, Any]:
    """What `torch.cuda.memory._snapshot()` returns."""
    written = [segment for gpu, allocator in enumerate(allocators()) for segment in segments(allocator, gpu, version)]
    if version < (2, 1):
        return {"segments": written, "device_traces": [[], []]}
    traces = [[_last_step(written, gpu)] for gpu in range(2)]
    return {"segments": written, "device_traces": traces, "allocator_settings": {}, "external_annotations": []}


def _last_step(written: list[dict[str, Any]], gpu: int) -> dict[str, Any]:
    """The allocation of the last live block: a history of one entry."""
    blocks = [block for segment in written if segment["device"] == gpu for block in segment["blocks"]]
    block = [block for block in blocks if block["state"] == "active_allocated"][-1]
    return {
        "action": "alloc",
        "addr": block["address"],
        "size": block["requested_size"],
        "stream": 0,
        "frames": [],
        "time_us": FIRST_STEP_US + 1_000_000 * gpu,
    }


def main() -> None:
    for version in VERSIONS:
        name = f"simulated-{version[0]}.{version[1]}.pickle"
        (FOLDER / name).write_bytes(pickle.dumps(snapshot(version), PROTOCOL))


if __name__ == "__main__":
    main()
