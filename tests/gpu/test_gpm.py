"""The counters of the whole GPU on real hardware, beside a program that knows what it moves."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.gpu.rig import ROOT, Program, Server

pytestmark = pytest.mark.gpu
SECONDS = 4.0
NOBODY = 65534
UNPRIVILEGED = """
import time
from blackbox.sources.nvml.source import NvmlSource
source = NvmlSource(gpm=True)
for _ in range(4):
    sample = source.sample()
    time.sleep(1)
print(sample.kernels)
source.close()
"""


@pytest.fixture
def counting(tmp_path: Path):
    with Server(tmp_path, "--gpm") as running:
        yield running


def test_throughput_is_near_what_a_copying_program_moves(counting: Server, torch_python: str) -> None:
    with Program(torch_python, "copying.py") as program:
        counting.wait_for(lambda answer: answer["nsight_metrics"].get(str(program.pid), {}).get("available"))
        program.ask()
        time.sleep(SECONDS)
        moved = program.ask()["bytes_per_second"]
        entry = counting.vram()["nsight_metrics"][str(program.pid)]
    print(f"moved {moved:.4g} B/s, GPM {entry['memory_throughput']:.4g} B/s, occupancy {entry['occupancy']}")
    assert entry["scope"] == "device"
    assert entry["memory_throughput"] == pytest.approx(moved, rel=0.25)
    assert 0 < entry["occupancy"] <= 100


def test_a_gpu_that_two_processes_share_is_given_to_neither(counting: Server, torch_python: str) -> None:
    with (
        Program(torch_python, "copying.py") as program,
        Program(sys.executable, "driver_memory.py", 100) as other,
    ):
        answer = counting.wait_for(lambda answer: {str(program.pid), str(other.pid)} <= answer["nsight_metrics"].keys())
        for pid in (program.pid, other.pid):
            entry = answer["nsight_metrics"][str(pid)]
            assert not entry["available"]
            assert entry["reason"]


def test_a_user_without_privileges_gets_figures_or_the_reason(torch_python: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    with Program(torch_python, "copying.py"):
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
            user=NOBODY, group=NOBODY, extra_groups=[],
        )  # fmt: skip
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stderr
