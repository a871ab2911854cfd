"""PyTorch on a real GPU, from its allocator to the answer of the server."""

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from tests.gpu.rig import PROGRAMS, Program, Server, agent_environment, blackbox, blocks, reports, row

pytestmark = pytest.mark.gpu
CACHED = 1000
ROUNDING_MAX = 512
"""PyTorch hands out memory in multiples of this."""


def live_bytes(answer: dict, pid: int, kind: str, subtype: str | None = None) -> int:
    return sum(
        block["size"]
        for block in blocks(answer, pid)
        if block["allocated"] and (block["type"], block.get("subtype")) == (kind, subtype)
    )


def test_blocks_sums_and_purposes_are_those_of_pytorch_itself(server: Server, torch_python: str) -> None:
    with Program(torch_python, "training.py", CACHED, socket=server.socket) as program:
        facts = program.facts
        whole = reports(program.pid, facts["allocated_bytes"])
        answer = server.wait_for(lambda answer: whole(answer) and has_context(answer, program.pid))
        ours, told = row(answer, program.pid), blocks(answer, program.pid)
    assert ours is not None
    assert (ours["reserved_bytes"], ours["allocated_bytes"]) == (facts["reserved_bytes"], facts["allocated_bytes"])
    assert sum(block["size"] for block in told) == ours["used_bytes"]
    placed = sorted((block["address"], block["size"]) for block in told if block["address"])
    assert len(placed) == facts["blocks"]
    assert sum(size for _, size in placed) == facts["reserved_bytes"]
    assert all(address + size <= following for (address, size), (following, _) in pairwise(placed))
    rounding = len(placed) * ROUNDING_MAX
    assert 0 <= live_bytes(answer, program.pid, "weight") - facts["weight_bytes"] <= rounding
    # known from the last look after a step: some may lie elsewhere since
    assert live_bytes(answer, program.pid, "other", "gradient") - facts["gradient_bytes"] <= rounding
    assert 0 <= live_bytes(answer, program.pid, "other", "optimizer") - facts["optimizer_bytes"] <= rounding
    assert answer["fragmentation_ratio"] == round(facts["inactive_split_bytes"] / facts["reserved_bytes"], 4)
    threads = [one for one in answer["threads"] if one["pid"] == program.pid]
    assert sum(one["allocated_bytes"] for one in threads) == ours["allocated_bytes"]


def has_context(answer: dict, pid: int) -> bool:
    """Whether the driver has listed the process since it took its memory."""
    ours = row(answer, pid)
    return ours is not None and ours["used_bytes"] > ours["reserved_bytes"]


def test_threads_own_what_they_allocated(server: Server, torch_python: str) -> None:
    with Program(torch_python, "training.py", CACHED, socket=server.socket, extras="threads") as program:
        answer = server.wait_for(
            lambda answer: (
                reports(program.pid)(answer)
                and len([one for one in answer["threads"] if one["pid"] == program.pid]) > 1
            )
        )
        ours = row(answer, program.pid)
    assert ours is not None
    threads = {one["thread_id"]: one for one in answer["threads"] if one["pid"] == program.pid}
    assert sum(one["allocated_bytes"] for one in threads.values()) == ours["allocated_bytes"]
    assert threads[program.pid]["allocated_bytes"] > 0
    assert any(one["name"].startswith("pt_autograd") for one in threads.values())


@pytest.mark.parametrize("ending", ["caught", "uncaught"])
def test_running_out_of_memory_is_told_and_changes_nothing_for_the_program(
    ending: str, server: Server, torch_python: str, tmp_path: Path
) -> None:
    def run(environment: dict[str, str] | None) -> "subprocess.CompletedProcess[str]":
        command = [torch_python, str(PROGRAMS / "out_of_memory.py"), ending]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    without, within = run(None), run(agent_environment(server.socket, "history"))
    assert within.returncode == without.returncode
    assert steady(within.stdout) == steady(without.stdout)
    assert steady(within.stderr) == steady(without.stderr)
    answer = server.wait_for(lambda answer: answer["events"], "/vram/events?kind=oom")
    (event,) = answer["events"]
    oom = event["oom"]
    assert oom["requested_bytes"] == 200 << 30
    assert 0 < oom["device_free_bytes"] < oom["device_total_bytes"]
    report = blackbox("report", str(server.data), "--text", home=tmp_path)
    assert "ran out of memory" in report.stdout, report.stderr
    assert "out_of_memory.py" in report.stdout, report.stdout


def steady(output: str) -> list[str]:
    """Without the figures, which differ from run to run."""
    return [line for line in output.splitlines() if not any(digit in line for digit in "0123456789")]
