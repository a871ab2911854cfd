"""Kernel records of CUPTI on a real GPU, and PyTorch's own profiler beside them."""

import pytest

from tests.gpu.rig import JsonObject, Program, Server

pytestmark = pytest.mark.gpu
SECONDS = 3
"""Of unprofiled work: longer than it takes until the agent looks."""


def entry(answer: JsonObject, pid: int) -> JsonObject:
    return answer["nsight_metrics"].get(str(pid), {})


def test_block_sizes_and_occupancy_of_a_running_program(server: Server, torch_python: str) -> None:
    with Program(torch_python, "copying.py", socket=server.socket, extras="cupti") as program:
        answer = server.wait_for(lambda answer: entry(answer, program.pid).get("threads_per_block"))
    told = entry(answer, program.pid)
    print(told)
    assert (told["scope"], told["source"]) == ("process", "cupti")
    assert told["available"], told["reason"]
    assert 1 <= told["threads_per_block"] <= 1024
    assert 0 < told["occupancy"] <= 100
    assert told["active_blocks"] > 0
    assert "theoretical" in told["unknown"]["occupancy"]


def test_pytorchs_own_profiler_works_as_without_us(server: Server, torch_python: str) -> None:
    with Program(torch_python, "profiled.py", SECONDS) as alone:
        expected = alone.facts["kernels"]
    with Program(torch_python, "profiled.py", SECONDS, socket=server.socket, extras="cupti") as program:
        assert program.facts["kernels"] == expected > 0
        answer = server.wait_for(lambda answer: entry(answer, program.pid).get("reason"))
    assert "profiler" in entry(answer, program.pid)["reason"]
