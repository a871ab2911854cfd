"""A real vLLM server on the CPU with the agent in it: its pages, as `/vram` tells them, are its pool's own."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.running_server import RunningServer
from tests.vllm_rig import (
    LAYER_PAGE_BYTES,
    LAYERS,
    PAGES,
    POOL_BYTES,
    USED_BYTES,
    WEIGHT_BYTES_MIN,
    VllmServer,
    watched,
)
from tests.waiting import PATIENCE_SECONDS, until_value

pytestmark = pytest.mark.vllm

SETTLE_SECONDS = 0.5
"""Ten looks of the agent, five of the server; many steps of the engine."""
RUNNING = 8
LOOKS = 4
USABLE = PAGES - 1
"""Without the null page."""


class Rig:
    """Blackbox, and the vLLM it looks into."""

    def __init__(self, blackbox: RunningServer, vllm: VllmServer, worker: int) -> None:
        self._blackbox = blackbox
        self.vllm = vllm
        self.worker = worker

    def vram(self) -> Any:
        with urllib.request.urlopen(f"{self._blackbox.url}/vram", timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)

    def wait_for(self, condition: Callable[[Any], object]) -> Any:
        return until_value(self.vram, condition)

    def pages_used_by_gauge(self) -> int:
        return round(self.vllm.metrics()["vllm:kv_cache_usage_perc"] * USABLE)


@pytest.fixture(scope="module")
def rig(fake_nvml_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with watched(tmp_path_factory.mktemp("vllm"), fake_nvml_library, agent=True) as found:
        rig = Rig(found.blackbox, found.vllm, found.worker)
        rig.wait_for(lambda snapshot: pages(snapshot) and given(snapshot) == [USED_BYTES])
        yield rig


def pages(snapshot: Any) -> list[Any]:
    return [block for block in snapshot["blocks"] if block.get("subtype") == "kv_page"]


def given(snapshot: Any) -> list[int]:
    """What each process holds; what its allocator holds at least, until the driver's list has been read anew."""
    return [process["used_bytes"] for process in snapshot["processes"]]


def engine(snapshot: Any) -> Any:
    """The one engine: told from inside and from outside, but once."""
    (engine,) = snapshot["engines"]
    return engine


def test_pages_lie_where_the_worker_has_its_tensors(rig: Rig) -> None:
    snapshot = rig.vram()
    rows = pages(snapshot)
    assert {row["pid"] for row in rows} == {rig.worker}
    assert len(rows) == PAGES * LAYERS
    assert sum(row["size"] for row in rows) == POOL_BYTES
    spans = sorted((row["address"], row["address"] + row["size"]) for row in rows)
    assert all(end == start for (_, end), (start, _) in pairwise(spans))
    assert any(start <= spans[0][0] and spans[-1][1] <= end for start, end in mapped(rig.worker))


def mapped(pid: int) -> list[tuple[int, int]]:
    spans = [line.split()[0].split("-") for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    return [(int(start, 16), int(end, 16)) for start, end in spans]


def test_blocks_of_the_worker_sum_to_what_the_driver_gave_it(rig: Rig) -> None:
    snapshot = rig.vram()
    (process,) = snapshot["processes"]
    assert process["pid"] == rig.worker
    assert sum(block["size"] for block in snapshot["blocks"]) == process["used_bytes"] == USED_BYTES
    sizes = {kind: sum(block["size"] for block in snapshot["blocks"] if block["type"] == kind) for kind in KINDS}
    assert sizes["kv_cache"] == POOL_BYTES
    assert sizes["weight"] >= WEIGHT_BYTES_MIN
    assert sizes["kv_cache"] + sizes["weight"] == process["reserved_bytes"]
    spans = sorted((one["address"], one["address"] + one["size"]) for one in snapshot["blocks"] if one["address"])
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


KINDS = ("kv_cache", "weight", "activation", "other")


def test_under_load_the_counts_are_those_of_the_pool(rig: Rig) -> None:
    seen: set[int] = set()
    with rig.vllm.load(requests=RUNNING, tokens=350):
        rig.wait_for(lambda snapshot: engine(snapshot)["requests_running"] == RUNNING)
        for _ in range(LOOKS):
            with rig.vllm.frozen():
                time.sleep(SETTLE_SECONDS)
                snapshot, gauges = rig.vram(), rig.vllm.metrics()
            told = engine(snapshot)
            assert told["kv_pages_total"] == PAGES
            assert told["kv_pages_used"] / USABLE == pytest.approx(gauges["vllm:kv_cache_usage_perc"], abs=1e-9)
            assert told["kv_usage_ratio"] == pytest.approx(gauges["vllm:kv_cache_usage_perc"], abs=1e-9)
            assert told["requests_running"] == gauges["vllm:num_requests_running"]
            assert told["requests_waiting"] == gauges["vllm:num_requests_waiting"]
            assert told["preemptions_total"] <= gauges["vllm:num_preemptions_total"]
            assert_rows_agree(snapshot)
            seen.add(told["kv_pages_used"])
            time.sleep(SETTLE_SECONDS)
    assert max(seen) > RUNNING
    assert len(seen) > 1


def assert_rows_agree(snapshot: Any) -> None:
    """Rows in use, cached and free are as large as the pages counted."""
    told, rows = engine(snapshot), pages(snapshot)
    page_bytes = LAYERS * LAYER_PAGE_BYTES
    assert sum(row["size"] for row in rows if row["utilized"]) == told["kv_pages_used"] * page_bytes
    cached = sum(row["size"] for row in rows if row["allocated"] and not row["utilized"])
    assert cached == told["kv_pages_cached"] * page_bytes


def test_after_the_load_pages_are_cached_and_not_in_use(rig: Rig) -> None:
    with rig.vllm.load(requests=2, tokens=80):
        pass
    snapshot = rig.wait_for(lambda snapshot: engine(snapshot)["kv_pages_used"] == 0)
    assert rig.pages_used_by_gauge() == 0
    assert engine(snapshot)["kv_pages_cached"] > 0
    assert engine(snapshot)["requests_running"] == 0
    assert_rows_agree(snapshot)


def test_the_engine_is_told_once_with_what_each_side_knows(rig: Rig) -> None:
    snapshot = rig.wait_for(lambda snapshot: engine(snapshot)["prefix_hit_ratio"] is not None)
    told = engine(snapshot)
    assert (told["kind"], told["model"]) == ("vllm", "tiny")
    assert told["preemptions_total"] is not None
