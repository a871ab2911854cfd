"""What nobody could measure is named at the top of the answer, so that a 0 without a mark is a measured 0."""

from typing import Any

import pytest

from blackbox.merge import INSIDE_KEYS, merge
from blackbox.model.snapshot import Snapshot
from tests.moments import GIB, allocator, device, moment, process, sample, status


def snapshot(*devices: Any, **parts: Any) -> Snapshot:
    return merge(moment(sample(devices, **parts)))


@pytest.mark.parametrize("key", ["processes", *INSIDE_KEYS, "nsight_metrics", "unattributed_bytes"])
def test_whatever_is_told_of_processes_is_unknown_where_the_driver_lists_none(key: str) -> None:
    unlisted = device(0, unknown={"processes": "the driver says NOT_SUPPORTED"})
    assert snapshot(unlisted, device(1)).unknown[key] == "GPU 0: the driver says NOT_SUPPORTED"
    assert key not in snapshot(device(0), device(1)).unknown


@pytest.mark.parametrize("key", ["total_bytes", "used_bytes", "processes", *INSIDE_KEYS, "nsight_metrics"])
def test_without_a_gpu_everything_is_unknown_for_the_reason_of_its_source(key: str) -> None:
    seen = merge(moment(sample(()), sources=(status(state="no_driver", reason="install it"),)))
    assert seen.unknown[key] == "nvml: install it"


def test_the_fragmentation_ratio_is_unknown_unless_an_allocator_tells_it() -> None:
    def reason(**told: Any) -> str | None:
        row = process(allocator().pid, used_bytes=8 * GIB)
        seen = snapshot(device(0), processes=(row,), allocators=(allocator(**told),))
        assert told == {} or seen.fragmentation_ratio == 0
        return seen.unknown.get("fragmentation_ratio")

    assert reason() is None
    assert reason(inactive_split_bytes=None) == "no allocator that reports tells it"
    assert snapshot(device(0)).unknown["fragmentation_ratio"] == "no allocator reports"
