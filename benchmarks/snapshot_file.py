"""A snapshot file of PyTorch of any size, as a long training writes it: each step allocates and frees the same."""

import pickle
import random
import sys
from pathlib import Path
from typing import Any

from tests.caching_allocator import MIB, CachingAllocator, Frames

VERSION = (2, 10)
SEED = 20261129
STACKS, FRAMES, DISTINCT_FRAMES = 400, (20, 110), 1500
"""As in genuine files with stacks of C++ and Python: the deeper frames are shared."""
SIZES = (512, 5000, 70_000, MIB, 3 * MIB, 9 * MIB, 30 * MIB)
WEIGHTS, ALLOCATIONS = 60, 150
"""Held throughout, and made in a step."""
SETTLING_STEPS_MAX = 20
"""The first ones get segments from the driver."""
ENTRY_BYTES, FRAME_BYTES = 75, 4.3
"""In the file, of an entry without its stack, and of each frame of a stack."""


def write(path: Path, megabytes: int) -> int:
    """Writes the file; returns the entries of its trace."""
    chance = random.Random(SEED)
    stacks = _stacks(chance)
    memory = CachingAllocator()
    for _ in range(WEIGHTS):
        memory.alloc(chance.randrange(1, 8) * MIB, frames=chance.choice(stacks))
    begun = _settle(memory, stacks)
    snapshot = memory.snapshot(VERSION)
    (trace,) = snapshot["device_traces"]
    _repeat(trace, trace[begun:], megabytes * 1e6)
    with path.open("wb") as file:
        pickle.dump(snapshot, file)
    return len(trace)


def _settle(memory: CachingAllocator, stacks: list[Frames]) -> int:
    """Trains until a step does what the one before it did; returns where the last one begins."""
    before: list[tuple[str, int]] = []
    for _ in range(SETTLING_STEPS_MAX):
        begun = len(memory.entries)
        _step(memory, random.Random(SEED), stacks)
        done = [(entry["action"], entry["addr"]) for entry in memory.entries[begun:]]
        if done == before:
            return begun
        before = done
    raise AssertionError("no step is like the one before it")


def _stacks(chance: random.Random) -> list[Frames]:
    frames = [
        {"filename": f"/opt/site-packages/torch/nn/modules/module{number % 90}.py", "line": number, "name": "forward"}
        if number % 3
        else {"filename": "??", "line": 0, "name": f"at::native::kernel{number}(at::Tensor const&, bool)"}
        for number in range(DISTINCT_FRAMES)
    ]
    return [[frames[min(int(chance.expovariate(1 / 300)), len(frames) - 1)] for _ in range(chance.randint(*FRAMES))]
            for _ in range(STACKS)]  # fmt: skip


def _step(memory: CachingAllocator, chance: random.Random, stacks: list[Frames]) -> None:
    held: list[int] = []
    for _ in range(ALLOCATIONS):
        size = chance.choice(SIZES) + chance.randrange(9) * 512
        held.append(memory.alloc(size, frames=chance.choice(stacks)))
        if chance.random() < 0.5:
            memory.free(held.pop(chance.randrange(len(held))), frames=chance.choice(stacks))
    for address in reversed(held):
        memory.free(address, frames=chance.choice(stacks))


def _repeat(trace: list[dict[str, Any]], step: list[dict[str, Any]], file_bytes: float) -> None:
    """Appends the step until the file is so large: later, and with lists of its own for the same frames."""
    time, written = trace[-1]["time_us"], 0.0
    frames: Frames = []
    while written < file_bytes:
        for entry in step:
            time += 3
            if entry["action"] != "free_completed":  # it shares the list of its request
                frames = list(entry["frames"])
                written += len(frames) * FRAME_BYTES
            written += ENTRY_BYTES
            trace.append(entry | {"time_us": time, "frames": frames})


if __name__ == "__main__":
    print(write(Path(sys.argv[1]), int(sys.argv[2])))
