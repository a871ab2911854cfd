"""Thread blocks that fit, beside what Nsight Compute said on a real GPU."""

import csv
from pathlib import Path

import pytest

from blackbox.agent.devices import Chip
from blackbox.agent.probes.cupti.occupancy import fit

TABLES = sorted((Path(__file__).parents[3] / "recorded").glob("*/ncu-kernels.csv"))
H200 = Chip(132, 2048, 32, 65536, 233472, 1024, 9)
ATTRIBUTES = (
    "multiprocessor_count",
    "max_threads_per_multiprocessor",
    "max_blocks_per_multiprocessor",
    "max_registers_per_multiprocessor",
    "max_shared_memory_per_multiprocessor",
    "reserved_shared_memory_per_block",
    "compute_capability_major",
)


def kernels() -> list[dict[str, str]]:
    return [row for table in TABLES for row in list(csv.DictReader(table.read_text().splitlines()))[1:]]


def test_every_recorded_kernel_fits_as_nsight_compute_says() -> None:
    assert kernels()
    for row in kernels():
        chip = Chip(*(int(row[f"device__attribute_{name}"]) for name in ATTRIBUTES))
        shared = int(row["launch__shared_mem_per_block_static"]) + int(row["launch__shared_mem_per_block_dynamic"])
        found = fit(
            chip,
            int(row["launch__block_size"]),
            int(row["launch__registers_per_thread"]),
            shared,
            int(row["launch__shared_mem_config_size"]),
        )
        limits = ("blocks", "registers", "shared_mem", "warps")
        assert found.blocks == min(int(row[f"launch__occupancy_limit_{limit}"]) for limit in limits)
        assert found.occupancy_percent == pytest.approx(float(row["sm__maximum_warps_per_active_cycle_pct"]), abs=0.01)


@pytest.mark.parametrize(
    ("threads", "registers", "shared", "percent"),
    [
        (256, 32, 0, 100.0),
        (1024, 64, 0, 50.0),  # registers for one block only
        (32, 16, 0, 50.0),  # 32 blocks of one warp
        (1, 1, 0, 50.0),
        (128, 32, 100_000, 12.5),  # shared memory for two blocks
        (1024, 255, 0, 0.0),  # does not fit at all
    ],
)
def test_the_scarcest_decides(threads: int, registers: int, shared: int, percent: float) -> None:
    assert fit(H200, threads, registers, shared, 0).occupancy_percent == percent
