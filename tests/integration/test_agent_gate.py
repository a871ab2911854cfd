"""Rows 46 and 49 to 52 of the fault catalogue: what an agent says is checked, bounded, counted and named."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from blackbox.sources.agents import listener
from blackbox.sources.agents.listener import LIMITS
from blackbox.wire.message import pack_hello, pack_oom, pack_report
from blackbox.wire.report import AllocatorReport, BlockColumns, Cost, Hello, Oom, Report, TraceStep
from tests.agent_rig import AgentServer
from tests.fake_nvml import FakeDriver, Gpu, Process, gpu_uuid
from tests.running_server import RunningServer, blackbox, environment
from tests.two_users import open_folder
from tests.waiting import PATIENCE_SECONDS, until

MIB = 1024 * 1024
HELD, CONTEXT = 8 * MIB, 300 * MIB
FLOOD_BYTES_MAX, FLOOD_DISK_BYTES_MAX = 120 * MIB, 16 * MIB
"""Without budgets it takes gigabytes, and 5 MB on the disk for each of the failures."""
OTHER_UID = 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
HELLO, COST = pack_hello(Hello(1, 0, 0)), Cost(0.0, 0, 0)


@pytest.fixture
def server(tmp_path: Path, fake_driver: FakeDriver) -> Iterator[RunningServer]:
    """It records, and its one GPU runs this very process."""
    own = Process(pid=os.getpid(), used_bytes=HELD + CONTEXT)
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=[own])])
    with RunningServer(tmp_path, "--interval", "100ms") as server:
        yield server


@contextmanager
def agent(home: Path) -> Iterator[Callable[[bytes], None]]:
    """Speaks for this process, on one connection."""
    with socket.socket(socket.AF_UNIX) as connected:
        connected.connect(str(home / "blackbox" / "agent.sock"))
        connected.sendall(HELLO)
        yield connected.sendall


def blocks_report(source: str = "pytorch", rows: int = 8, **changes: Any) -> bytes:
    """What holds `HELD` bytes in so many blocks."""
    size = HELD // rows
    columns = BlockColumns(range(1 << 30, (1 << 30) + HELD, size), [size] * rows, [1] * rows)
    fields = {"reserved_bytes": HELD, "allocated_bytes": HELD, "blocks": columns} | changes
    return pack_report(Report(source, time.monotonic(), (AllocatorReport(gpu_uuid(0), **fields),)), COST)


def oom(**changes: Any) -> bytes:
    return pack_oom(Oom("pytorch", time.monotonic(), time.time(), gpu_uuid(0), 1 << 30, 1)._replace(**changes))


def get(server: RunningServer, path: str) -> Any:
    with urllib.request.urlopen(f"{server.url}{path}", timeout=PATIENCE_SECONDS) as answer:
        return json.load(answer)


def failures(server: RunningServer) -> Any:
    return get(server, "/vram/events?kind=oom&limit=1000")["events"]


def resident_bytes(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def refused(server: RunningServer, reason: str) -> int:
    """As `/metrics` counts it."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=PATIENCE_SECONDS) as answer:
        found = re.search(rf'blackbox_agent_refusals_total{{reason="{reason}"}} (\S+)', answer.read().decode())
    return int(float(found[1])) if found else 0


def listed(server: RunningServer, home: Path) -> str:
    """What `blackbox events` prints."""
    done = blackbox("events", "--kind", "oom", "--url", server.url, env=environment(home))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.fault(46)
def test_row_46_a_flood_of_failures_stays_within_budgets(server: RunningServer, tmp_path: Path) -> None:
    rows = 100_000
    columns = BlockColumns(range(1 << 30, (1 << 30) + rows * 512, 512), [512] * rows, [1] * rows)
    huge = oom(allocator=AllocatorReport(gpu_uuid(0), rows * 512, rows * 512, blocks=columns))
    stranger = pack_report(Report("heap", 0.0, (AllocatorReport("GPU-of-nobody", 1, 1),)), COST)
    before = resident_bytes(server.pid)
    with agent(tmp_path) as say:
        until(lambda: say(stranger) or refused(server, "unknown_gpu"))  # from when it knows the GPUs
        counted = refused(server, "unknown_gpu")
        for _ in range(30):
            say(oom(gpu_uuid="GPU-of-nobody"))
        until(lambda: refused(server, "unknown_gpu") >= counted + 30)
        for _ in range(24):
            say(huge)
        until(lambda: refused(server, "too_many_failures") + len(failures(server)) >= 24)
        assert refused(server, "too_many_failures") >= 4
        assert refused(server, "too_large") >= 1  # failures told without their blocks
        assert {event["gpu_uuid"] for event in failures(server)} == {gpu_uuid(0)}
        assert resident_bytes(server.pid) - before < FLOOD_BYTES_MAX
        recorder = get(server, "/healthz")["recorder"]
        assert (recorder["state"], recorder["failures_total"]) == ("recording", 0)
        assert server.stop() == 0
    recording = tmp_path / ".local" / "state" / "blackbox"
    assert sum(path.stat().st_size for path in recording.rglob("*events*")) < FLOOD_DISK_BYTES_MAX


@pytest.mark.fault(46)
def test_row_46_a_failure_of_too_many_bytes_costs_its_blocks(server: RunningServer, tmp_path: Path) -> None:
    rows = 50_000
    addresses = range(1 << 30, (1 << 30) + rows * 512, 512)
    columns = BlockColumns(addresses, [512] * rows, [1] * rows, label=[0] * rows, labels=(("x" * 1000, "module"),))
    large = AllocatorReport(gpu_uuid(0), rows * 512, rows * 512, blocks=columns)
    few = BlockColumns(addresses[:100], [512] * 100, [1] * 100)
    with agent(tmp_path) as say:
        say(oom(allocator=large, requested_bytes=1))
        say(oom(allocator=large._replace(blocks=few), requested_bytes=2))
        until(lambda: len(failures(server)) == 2)
    told, whole = (
        one["oom"]["allocator"] for one in sorted(failures(server), key=lambda one: one["oom"]["requested_bytes"])
    )
    assert (told["blocks"], told["unknown"]["blocks"]) == (None, "they would take too much")
    assert len(whole["blocks"]) == 100, "the budget of its user is left"
    assert refused(server, "too_large") == 1


@pytest.mark.fault(49)
@pytest.mark.parametrize(
    "changes",
    [
        {"trace": (TraceStep("alloc", 0, 512, stream=1 << 64),)},
        {"timestamp": 1e308},
        {"timestamp": -1e18},
    ],
    ids=["stream", "end of time", "before time"],
)
def test_row_49_a_number_past_the_end_costs_the_event_that_has_it(
    changes: dict[str, Any], server: RunningServer, tmp_path: Path
) -> None:
    with agent(tmp_path) as say:
        for _ in range(5):
            say(oom(**changes))
        until(lambda: refused(server, "malformed") == 5)
        say(oom(requested_bytes=4711 * MIB))
        until(
            lambda: (
                "4.6 GiB" in blackbox("events", "--kind", "oom", "--url", server.url, env=environment(tmp_path)).stdout
            )
        )
        recorder = get(server, "/healthz")["recorder"]
        assert recorder["state"] == "recording"
        assert recorder["failures_total"] == 0
        until(lambda: get(server, "/healthz")["recorder"]["moments_total"] > recorder["moments_total"])
    (one,) = get(server, "/vram/events?kind=oom")["events"]
    assert abs(one["timestamp"] - time.time()) < PATIENCE_SECONDS


@pytest.mark.fault(49)
def test_row_49_a_failure_is_dated_by_our_clock_where_the_agents_is_off(server: RunningServer, tmp_path: Path) -> None:
    with agent(tmp_path) as say:
        say(oom(timestamp=253_000_000_000.0))  # in the year 9987
        until(lambda: get(server, "/vram/events?kind=oom")["events"])
    (one,) = get(server, "/vram/events?kind=oom")["events"]
    assert abs(one["timestamp"] - time.time()) < PATIENCE_SECONDS


@pytest.mark.fault(50)
def test_row_50_a_figure_out_of_range_costs_the_report_that_has_it(server: RunningServer, tmp_path: Path) -> None:
    def named() -> bool:
        snapshot = get(server, "/vram")
        unknown = snapshot["processes"][0].get("unknown", {})
        return "-4936" in unknown.get("reserved_bytes", "") and "rmm" in snapshot["unknown"].get("blocks", "")

    with agent(tmp_path) as say:
        for _ in range(10):
            say(blocks_report("rmm", reserved_bytes=-4936, blocks=None))
        say(blocks_report())
        until(named)
        say(oom())  # on the same connection
        until(lambda: get(server, "/vram/events?kind=oom")["events"])
        assert refused(server, "malformed") == 10
        assert len([block for block in get(server, "/vram")["blocks"] if block["address"]]) == 8
        status = next(one for one in get(server, "/vram")["sources"] if one["name"] == "agents")
        assert status["cost"]["agents_cut_off_total"] == 0
        say(blocks_report("rmm", reserved_bytes=0, allocated_bytes=0, blocks=None))  # well again
        until(lambda: not named())


CROWD = """
import os, socket, sys, time
path, count, uid, said = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), open(sys.argv[4], "rb").read()
for _ in range(count):
    if not os.fork():
        os.setuid(uid)
        one = socket.socket(socket.AF_UNIX)
        one.connect(path)
        try:
            one.sendall(said)
            one.settimeout(None)
            while one.recv(4096):  # the server greets, and closes in the end
                pass
        except OSError:
            pass
        os._exit(0)
print("all", flush=True)
time.sleep(600)
"""


@contextmanager
def crowd(path: Path, count: int, said: bytes, folder: Path) -> Iterator[None]:
    """So many programs of another user, each of which says so much and stays."""
    (folder / "said").write_bytes(said)
    command = [sys.executable, "-c", CROWD, path, str(count), str(OTHER_UID), folder / "said"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert program.stdout
        assert program.stdout.readline() == b"all\n"
        yield
    finally:
        os.killpg(program.pid, signal.SIGKILL)
        program.communicate()


@contextmanager
def open_server() -> Iterator[AgentServer]:
    """One that every user reaches."""
    with open_folder() as folder, AgentServer(folder, 0o666) as server:
        yield server


@needs_root
@pytest.mark.fault(51)
def test_row_51_a_crowd_of_one_user_keeps_no_other_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "AGENTS_MAX", 20)
    with open_server() as server, crowd(server.socket, 30, HELLO, tmp_path):
        server.wait_for(lambda sample: sample.cost["agents"] == 20)
        with honest(server.socket):
            server.wait_for(lambda sample: [one.pid for one in sample.allocators] == [os.getpid()])
            assert server.sample().cost["agents"] == 20


@needs_root
@pytest.mark.fault(51)
def test_row_51_what_a_sample_looks_at_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "LIMITS", LIMITS._replace(parts=300))
    probes = [
        pack_report(Report(f"probe{number}", 0.0, tuple(AllocatorReport(f"GPU-{gpu}", 1, 1) for gpu in range(8))), COST)
        for number in range(16)
    ]
    with open_server() as server, honest(server.socket):
        server.wait_for(lambda sample: sample.allocators)
        with crowd(server.socket, 10, b"".join((HELLO, *probes)), tmp_path):
            seen = server.wait_for(lambda sample: sample.cost["agents_refused_too_many_parts_total"] >= 7)
            assert len(seen.allocators) <= 300
            assert os.getpid() in {one.pid for one in seen.allocators}


@contextmanager
def honest(path: Path) -> Iterator[None]:
    """This process, which tells of one allocator and stays."""
    with socket.socket(socket.AF_UNIX) as connected:
        connected.connect(str(path))
        connected.sendall(HELLO + blocks_report())
        yield
