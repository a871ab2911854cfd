"""Windows of hardware counters on a real GPU, beside a program that knows what it moves."""

import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.gpu.rig import Program, Server

pytestmark = pytest.mark.gpu
SECONDS = 4.0


@pytest.fixture
def sampling(tmp_path: Path):
    if find_spec("cupti") is None:
        pytest.skip("cupti-python is not installed (NVIDIA's, proprietary)")
    with Server(tmp_path, "--pm-sampling") as running:
        yield running


def test_bytes_are_those_that_a_copying_program_moves(sampling: Server, torch_python: str) -> None:
    with Program(torch_python, "copying.py") as program:
        program.ask()
        answer = sampling.wait_for(lambda answer: answer["nsight_metrics"].get(str(program.pid), {}).get("source"))
        entry = answer["nsight_metrics"][str(program.pid)]
        source = next(one for one in answer["sources"] if one["name"] == "pm_sampling")
        time.sleep(SECONDS)
        moved = program.ask()["bytes_per_second"]
    print(f"moved {moved:.4g} B/s", entry, source)
    if source["state"] == "no_access":
        pytest.skip(source["reason"])
    assert (entry["scope"], entry["source"]) == ("device", "pm_sampling")
    assert entry["memory_throughput"] == pytest.approx(moved, rel=0.25)
    assert entry["dram_read_bytes"] == pytest.approx(entry["dram_write_bytes"], rel=0.1)
    assert 0 < entry["occupancy"] <= 100
    assert entry["active_blocks"] > 0


def test_the_source_itself_is_on_no_gpu(sampling: Server, torch_python: str) -> None:
    with Program(torch_python, "copying.py") as program:
        answer = sampling.wait_for(lambda answer: answer["nsight_metrics"].get(str(program.pid), {}).get("source"))
        assert [row["pid"] for row in answer["processes"]] == [program.pid]


def test_a_gpu_that_two_processes_share_is_left_alone(sampling: Server, torch_python: str) -> None:
    with (
        Program(torch_python, "copying.py") as program,
        Program(sys.executable, "driver_memory.py", 100) as other,
    ):
        answer = sampling.wait_for(lambda answer: {str(program.pid), str(other.pid)} <= answer["nsight_metrics"].keys())
        for pid in (program.pid, other.pid):
            assert not answer["nsight_metrics"][str(pid)]["available"]
