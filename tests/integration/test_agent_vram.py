"""From a program's allocator to `/vram`: the agent, the server with its driver process, and HTTP, all of them real."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.agent_rig import USE_HEAP, agent_environment
from tests.fake_nvml import FakeDriver, Gpu, Process, gpu_uuid
from tests.running_server import RunningServer
from tests.waiting import PATIENCE_SECONDS, until

MIB = 1024 * 1024
CONTEXT_BYTES = 300 * MIB
"""What the driver gives a process beside its allocator."""
LIVE = USE_HEAP + f"heap.GPU = {gpu_uuid(0)!r}; [heap.alloc({MIB} * n) for n in range(1, 9)]; heap.live(60)"
BLOCKS = 1 + 8 + 1
"""The first, those of the list above, and the opaque rest."""
HELD = sum(MIB * n for n in range(1, 9)) + 4096


@pytest.fixture
def server(tmp_path: Path, fake_driver: FakeDriver) -> Iterator[RunningServer]:
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0))])
    with RunningServer(tmp_path, "--interval", "100ms", "--no-record") as server:
        yield server


@pytest.fixture
def program(tmp_path: Path, fake_driver: FakeDriver, server: RunningServer) -> "Iterator[subprocess.Popen[bytes]]":
    environment = agent_environment(tmp_path) | {"BLACKBOX_AGENT_SOCKET": str(tmp_path / "blackbox" / "agent.sock")}
    program = subprocess.Popen([sys.executable, "-c", LIVE], env=environment)
    used = HELD + CONTEXT_BYTES
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=[Process(pid=program.pid, used_bytes=used)])])
    try:
        yield program
    finally:
        program.kill()
        program.wait()


def vram(server: RunningServer) -> Any:
    with urllib.request.urlopen(f"{server.url}/vram", timeout=PATIENCE_SECONDS) as answer:
        return json.load(answer)


def agents(snapshot: Any) -> Any:
    return next(source for source in snapshot["sources"] if source["name"] == "agents")


def seen_inside(server: RunningServer) -> Any:
    """The first snapshot that knows all of the program's allocations."""
    found: list[Any] = []

    def is_whole() -> bool:
        found[:] = [vram(server)]
        return len(found[0]["blocks"]) == BLOCKS

    until(is_whole)
    return found[0]


@pytest.mark.usefixtures("fake_driver")
def test_blocks_of_a_program_sum_to_what_the_driver_gave_it(
    server: RunningServer, program: "subprocess.Popen[bytes]"
) -> None:
    snapshot = seen_inside(server)
    (process,) = snapshot["processes"]
    assert process["pid"] == program.pid
    assert process["used_bytes"] == HELD + CONTEXT_BYTES
    assert process["reserved_bytes"] == process["allocated_bytes"] == HELD
    assert sum(block["size"] for block in snapshot["blocks"]) == process["used_bytes"]
    spans = sorted((block["address"], block["size"]) for block in snapshot["blocks"] if block["address"])
    assert all(start + size == end for (start, size), (end, _) in pairwise(spans))
    assert {block["type"] for block in snapshot["blocks"] if block["address"]} == {"weight"}
    assert sum(thread["allocated_bytes"] for thread in snapshot["threads"]) == HELD
    assert snapshot["reserved_bytes"] == HELD
    assert not {"reserved_bytes", "blocks", "threads"} & snapshot.get("unknown", {}).keys()


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
def test_what_happens_to_a_program_does_not_disturb_the_server(
    server: RunningServer, program: "subprocess.Popen[bytes]", fate: signal.Signals
) -> None:
    seen_inside(server)
    program.send_signal(fate)
    begun = vram(server)["seq"]
    until(lambda: vram(server)["seq"] > begun + 25)
    snapshot = vram(server)
    (process,) = snapshot["processes"]  # the driver still lists it
    assert sum(block["size"] for block in snapshot["blocks"]) == process["used_bytes"]
    if fate == signal.SIGSTOP:
        assert "silent" in process["unknown"]["reserved_bytes"]
    else:
        assert process["allocated_bytes"] is None
        assert process["reserved_bytes"] == process["used_bytes"]
    with urllib.request.urlopen(f"{server.url}/healthz", timeout=PATIENCE_SECONDS) as health:
        assert health.status == 200


def test_a_server_that_is_stopped_for_a_while_goes_on_where_it_was(
    server: RunningServer, program: "subprocess.Popen[bytes]"
) -> None:
    seen_inside(server)
    os.kill(server.pid, signal.SIGSTOP)
    assert program.poll() is None
    os.kill(server.pid, signal.SIGCONT)
    frames = agents(vram(server))["cost"]["frames_total"]
    until(lambda: agents(vram(server))["cost"]["frames_total"] > frames + 5)
    assert agents(vram(server))["cost"]["agents_cut_off_total"] == 0


def test_no_agents_means_no_socket(tmp_path: Path, fake_driver: FakeDriver) -> None:
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0))])
    with RunningServer(tmp_path, "--no-agents", "--no-record") as server:
        assert "agents" not in {source["name"] for source in vram(server)["sources"]}
    assert not (tmp_path / "blackbox" / "agent.sock").exists()
