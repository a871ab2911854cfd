"""What a snapshot file of PyTorch 2.14 and newer tells beside its segments."""

from typing import Any

import pytest

from blackbox.sources.memory_snapshot.contents import contents
from blackbox.sources.memory_snapshot.traces import read_traces
from tests.caching_allocator import CachingAllocator

NEW = (2, 15)
MIB = 1 << 20


def snapshot() -> dict[str, Any]:
    allocator = CachingAllocator(64 * MIB)
    allocator.alloc(4 * MIB)
    return allocator.snapshot(NEW)


def segment(size: Any) -> dict[str, Any]:
    blocks = [{"size": size, "requested_size": size, "state": "active_allocated", "frames": []}]
    return {"address": 1 << 30, "total_size": size, "stream": 0, "segment_type": "large", "blocks": blocks}


@pytest.mark.parametrize(
    ("segments", "told"),
    [
        ([segment(MIB), segment(2 * MIB)], 3 * MIB),
        ([], None),
        (None, None),
        ([{"size": 1}], None),
        ([segment("x")], None),
    ],
)
def test_pinned_memory_of_the_host_is_told_beside_the_gpus_and_never_among_them(
    segments: Any, told: int | None
) -> None:
    whole = snapshot() | {"host_segments": segments}
    found = contents(whole, "end")
    assert found.host_bytes == told
    assert [device.memory.used_bytes for device in found.sample.devices or () if device.memory] == [20 * MIB]


def tags(entries: list[dict[str, Any]]) -> list[str]:
    """The note on each entry."""
    found = read_traces(snapshot() | {"device_traces": [entries]})
    (device,) = found.devices
    names = list(found.evidence.tags)
    return [names[number] for number in device.trace.tag or ()]


def entry(action: str, address: int, **more: Any) -> dict[str, Any]:
    return {"action": action, "addr": address, "size": 512, "stream": 0, "time_us": 1} | more


def test_a_note_made_later_is_of_the_allocation_that_lives_there() -> None:
    entries = [
        entry("alloc", 512),
        entry("alloc", 1024, user_metadata="mine"),
        entry("free_requested", 512),
        entry("alloc", 512),
        {"action": "annotate", "addr": 512, "stream": 0, "time_us": 1, "user_metadata": "tape"},
        entry("annotate", 1024, user_metadata="tape"),
        entry("annotate", 4096, user_metadata="nobody"),
    ]
    assert tags(entries)[:4] == ["", "mine", "", "tape"]
