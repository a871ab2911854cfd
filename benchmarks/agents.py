"""What the agent costs the program it is in, and the server that listens to it."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.fake_machine import fake_machine
from benchmarks.harness import (
    LOAD_CORE,
    SERVER_CORE,
    SETTLE_SECONDS,
    BrokenRunError,
    blackbox,
    cpu_seconds,
    free_port,
    median,
    process,
    python,
    wait_for_sample,
)
from benchmarks.plan import Benchmark, Plan, Row

SHIM = Path(__file__).parents[1] / "src" / "blackbox" / "agent" / "shim"
INTERVAL_SECONDS = 0.5
SIZES = (1_000, 15_000, 100_000)
CROWD = 100
PERCENT_MAX = 1.0


class Run(NamedTuple):
    """Percent of a core, while the programs lived."""

    agent: float
    server: float
    reports_per_second: float


def run(plan: Plan) -> list[Row]:
    """Agent and server, at each size, within the default budget; then with the budget lifted, then many at once."""
    rows: list[Row] = []
    for size in SIZES:
        of = [_measure(plan.seconds, size, 1, {}) for _ in range(plan.rounds)]
        agent = median([one.agent for one in of])
        rows.append(
            Row(figure=f"program with {size} blocks", unit="% of a core", ours=agent, target="≤ 1 %",
                met=agent <= PERCENT_MAX, note="CPU time of the agent's thread; blocks as often as the budget allows")
        )  # fmt: skip
    freely = [_measure(plan.seconds, 15_000, 1, {"BLACKBOX_AGENT_BUDGET": "50"}) for _ in range(plan.rounds)]
    crowd = [_measure(plan.seconds, 100, CROWD, {}) for _ in range(plan.rounds)]
    rows += [
        Row(figure="one full report of 15000 blocks", unit="ms CPU",
            ours=median([one.agent / one.reports_per_second for one in freely]) * 10, note="probe, packing, sending"),
        Row(figure="server with 15000 blocks told at 2 Hz", unit="% of a core",
            ours=median([one.server for one in freely]), note="with its driver process; one client asks at 2 Hz"),
        Row(figure=f"server with {CROWD} agents at 2 Hz", unit="% of a core",
            ours=median([one.server for one in crowd]), note="100 blocks each; one client asks at 2 Hz"),
    ]  # fmt: skip
    return rows


def _measure(seconds: float, blocks: int, processes: int, changes: Mapping[str, str]) -> Run:
    with fake_machine(1, 0) as machine, TemporaryDirectory() as folder:
        socket = str(Path(folder, "agent.sock"))
        port = free_port()
        words = ("--agent-socket", socket, "--no-record")
        with process(blackbox("serve", str(port), *words), SERVER_CORE, machine.environment) as server:
            wait_for_sample(port, server)
            environment = _agent_environment(socket) | changes
            command = python("-m", "benchmarks.agent_program", str(blocks), str(processes))
            with process(command, LOAD_CORE, environment):
                return _watch(port, server, processes, seconds)


def _agent_environment(socket: str) -> dict[str, str]:
    return {
        "PYTHONPATH": str(SHIM),
        "BLACKBOX_AGENT": "1",
        "BLACKBOX_AGENT_SOCKET": socket,
        "BLACKBOX_AGENT_PROBES": "benchmarks.agent_heap=benchmarks.agent_heap_probe",
    }


def _watch(port: int, server: "subprocess.Popen[bytes]", agents: int, seconds: float) -> Run:
    until = time.monotonic() + 20
    while (cost := _cost(port))["agents"] < agents:
        if time.monotonic() > until:
            raise BrokenRunError(f"{cost['agents']:g} of {agents} agents came")
        time.sleep(0.1)
    time.sleep(SETTLE_SECONDS)
    before, cpu, began = _cost(port), cpu_seconds(server.pid), time.monotonic()
    while time.monotonic() < began + seconds:
        time.sleep(INTERVAL_SECONDS)
        _cost(port)
    after, spent, elapsed = _cost(port), cpu_seconds(server.pid) - cpu, time.monotonic() - began
    return Run(
        agent=100 * (after["agents_cpu_seconds"] - before["agents_cpu_seconds"]) / elapsed / agents,
        server=100 * spent / elapsed,
        reports_per_second=(after["frames_total"] - before["frames_total"]) / elapsed / agents,
    )


def _cost(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/vram", timeout=10) as answer:
        snapshot = json.load(answer)
    return next(source["cost"] for source in snapshot["sources"] if source["name"] == "agents")


BENCHMARK = Benchmark(
    "agents",
    "Programs with the agent in them, on a framework that costs nothing itself; counters and blocks at 2 Hz.",
    run,
)
