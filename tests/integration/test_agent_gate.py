"""Rows 46 and 49 to 52 of the fault catalogue: what an agent says is checked, bounded, counted and named."""

import json
import os
import re
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from blackbox.wire.message import pack_hello, pack_oom, pack_report
from blackbox.wire.report import AllocatorReport, BlockColumns, Cost, Hello, Oom, Report, TraceStep
from tests.fake_nvml import FakeDriver, Gpu, Process, gpu_uuid
from tests.running_server import RunningServer, blackbox, environment
from tests.waiting import PATIENCE_SECONDS, until

MIB = 1024 * 1024
HELD, CONTEXT = 8 * MIB, 300 * MIB
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
                "4711.0 MiB"
                in blackbox("events", "--kind", "oom", "--url", server.url, env=environment(tmp_path)).stdout
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
