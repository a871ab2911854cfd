"""What real GPUs said, once more: each capture of `tests/gpu/record.py` through the code that reads such answers."""

import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from blackbox.cli.commands import import_ncu, import_pickle
from blackbox.merge import merge
from blackbox.model.moment import Moment
from blackbox.model.snapshot import Snapshot
from blackbox.sources.nvml.source import NvmlSource
from tests.fake_nvml import FakeDriver, Gpu, Memory, Process, gpu_uuid

FOLDERS = sorted(path.parent for path in (Path(__file__).parents[1] / "recorded").glob("*/nvml.json"))
MIB = 1 << 20
WARP_THREADS = 32
ROUNDING_BYTES = 512
"""Of PyTorch's allocator."""
LISTS = {
    "nvmlDeviceGetComputeRunningProcesses_v3": "compute",
    "nvmlDeviceGetGraphicsRunningProcesses_v3": "graphics",
    "nvmlDeviceGetMPSComputeRunningProcesses_v3": "mps",
}

pytestmark = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def recorded(path: Path) -> Any:
    return json.loads(path.read_text())


def replayed(driver: FakeDriver, name: str, state: dict[str, Any]) -> Snapshot:
    """The snapshot of a driver that answers as that one did."""
    memory = {f"{key}_bytes": state["memory_v2"][key] for key in ("total", "reserved", "used", "free")}
    processes = [
        Process(pid=pid, used_bytes=used, kind=kind) for call, kind in LISTS.items() for pid, used in state[call]
    ]
    driver.set_gpus([Gpu(uuid=gpu_uuid(0), name=name, memory=Memory(**memory), processes=processes)])
    source = NvmlSource()
    try:
        sample = source.sample()
    finally:
        source.close()
    return merge(Moment(seq=1, timestamp=time.time(), taken_at=sample.taken_at, host="", samples=(sample,), sources=()))


def test_every_figure_is_what_nvidia_smi_said_at_that_moment(folder: Path, fake_driver: FakeDriver) -> None:
    capture = recorded(folder / "nvml.json")
    for state in capture["states"].values():
        snapshot = replayed(fake_driver, capture["name"], state)
        (gpu,), (said,) = snapshot.gpus, state["nvidia_smi"]
        assert gpu.name == said["name"]
        figures = (gpu.total_bytes, gpu.driver_reserved_bytes, gpu.used_bytes, gpu.free_bytes)
        for figure, key in zip(figures, ("total", "reserved", "used", "free"), strict=True):
            assert abs(figure / MIB - int(said[f"memory.{key}"])) <= 1, key
        assert gpu.total_bytes == gpu.used_bytes + gpu.free_bytes + gpu.driver_reserved_bytes
        ours = {row.pid: row.used_bytes // MIB for row in snapshot.processes}
        assert ours == {int(app["pid"]): int(app["used_memory"]) for app in state["nvidia_smi_apps"]}
        assert snapshot.used_bytes == sum(row.used_bytes for row in snapshot.processes) + snapshot.unattributed_bytes


def test_the_first_version_of_the_memory_call_counts_the_drivers_share_as_used(folder: Path) -> None:
    for state in recorded(folder / "nvml.json")["states"].values():
        v1, v2 = state["memory_v1"], state["memory_v2"]
        assert v1["used"] == v2["used"] + v2["reserved"]
        assert (v1["total"], v1["free"]) == (v2["total"], v2["free"])
        assert v2["total"] == v2["used"] + v2["reserved"] + v2["free"]


def test_a_memory_snapshot_holds_what_pytorch_counted(folder: Path) -> None:
    path, counted = folder / "torch-snapshot.pickle", recorded(folder / "torch-snapshot.json")
    vram = json.loads(import_pickle.read(path))
    (process,) = vram["processes"]
    assert process["reserved_bytes"] == process["used_bytes"] == counted["reserved_bytes"]
    assert process["allocated_bytes"] == counted["allocated_bytes"]
    assert vram["fragmentation_ratio"] == round(counted["inactive_split_bytes"] / counted["reserved_bytes"], 4)
    live = [block for block in vram["blocks"] if block["utilized"]]
    assert sum(block["size"] for block in live) == counted["active_bytes"] == vram["atomic_allocations_bytes"]
    assert sum(block["requested_bytes"] for block in live) == counted["requested_bytes"]
    segments = pickle.loads(path.read_bytes())["segments"]
    assert len(vram["blocks"]) == sum(len(segment["blocks"]) for segment in segments)


def test_the_counters_of_kernels_are_near_the_work_that_is_known(folder: Path) -> None:
    told = recorded(folder / "ncu-kernels.json")
    (entry,) = json.loads(import_ncu.read(folder / "ncu-kernels.csv")).values()
    assert entry["available"]
    assert entry["atomic_operations"] == told["atomics"] // WARP_THREADS  # a warp instruction each
    assert entry["dram_read_bytes"] == pytest.approx(told["copied_bytes"], rel=0.1)
    assert entry["dram_write_bytes"] == pytest.approx(told["copied_bytes"], rel=0.1)
    assert 0 < entry["occupancy"] <= 100


def test_the_answer_about_a_program_with_a_model_agrees_with_pytorch(folder: Path) -> None:
    capture = recorded(folder / "vram.json")
    vram, program, pid = capture["vram"], capture["program"], capture["pid"]
    (process,) = (row for row in vram["processes"] if row["pid"] == pid)
    blocks = [block for block in vram["blocks"] if block["pid"] == pid]
    weights = [block for block in blocks if block["type"] == "weight"]
    assert 0 <= sum(block["size"] for block in weights) - program["weight_bytes"] < ROUNDING_BYTES * len(weights)
    assert process["allocated_bytes"] == sum(
        block["size"] for block in blocks if block["utilized"] and block["address"]
    )
    assert sum(block["size"] for block in blocks) == process["used_bytes"]
    assert sum(block["size"] for block in blocks if block["address"]) == process["reserved_bytes"]
    assert vram["total_bytes"] == vram["used_bytes"] + vram["free_bytes"] + vram["driver_reserved_bytes"]
    assert vram["unattributed_bytes"] == vram["used_bytes"] - sum(row["used_bytes"] for row in vram["processes"])
