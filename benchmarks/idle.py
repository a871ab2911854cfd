"""Running at 2 Hz while nobody watches."""

import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.fake_machine import fake_machine
from benchmarks.harness import (
    MIB,
    SERVER_CORE,
    SETTLE_SECONDS,
    Memory,
    blackbox,
    cpu_seconds,
    free_port,
    in_turns,
    median,
    memory,
    process,
    python,
    require_alive,
    wait_for_sample,
)
from benchmarks.plan import Benchmark, Plan, Row

GPUS = 8
PROCESSES = 4
CPU_PERCENT_MAX = 1.0
RSS_MIB_MAX = 60


def run(plan: Plan) -> list[Row]:
    """CPU in percent of a core, and resident memory with the child."""
    with fake_machine(GPUS, PROCESSES) as machine:
        sides = [lambda: _ours(machine.environment, plan.seconds)]
        if find_spec("nvitop"):
            loop = python("-m", "benchmarks.peers.nvitop_snapshot", "3600")
            sides.append(lambda: _theirs(loop, machine.environment, plan.seconds))
        results = in_turns(plan.rounds, *sides)
    cpu, *peer_cpu = (median([one[0] for one in rounds]) for rounds in results)
    rss, *peer_rss = (median([one[1].rss for one in rounds]) / MIB for rounds in results)
    pss = median([one[1].pss for one in results[0]]) / MIB
    peer = "nvitop's snapshot in a loop at 2 Hz" if peer_cpu else "peer not installed: nvitop"
    return [
        Row(
            figure="CPU", unit="% of a core", ours=cpu, peer=peer, theirs=next(iter(peer_cpu), None),
            target="≤ 1 %", met=cpu <= CPU_PERCENT_MAX,
        ),
        Row(
            figure="memory, server and child", unit="MiB RSS", ours=rss, peer=peer, theirs=next(iter(peer_rss), None),
            target="≤ 60 MiB", met=rss <= RSS_MIB_MAX,
            note=f"PSS {pss:.0f} MiB: pages that both map counted once",
        ),
    ]  # fmt: skip


def _ours(environment: dict[str, str], seconds: float) -> tuple[float, Memory]:
    port = free_port()
    with process(blackbox("serve", str(port)), SERVER_CORE, environment) as started:
        wait_for_sample(port, started)
        return _watch(started, seconds)


def _theirs(command: list[str | Path], environment: dict[str, str], seconds: float) -> tuple[float, Memory]:
    with process(command, SERVER_CORE, environment) as started:
        return _watch(started, seconds)


def _watch(started: subprocess.Popen[bytes], seconds: float) -> tuple[float, Memory]:
    time.sleep(SETTLE_SECONDS)
    cpu, at = cpu_seconds(started.pid), time.monotonic()
    time.sleep(seconds)
    require_alive(started)
    return 100 * (cpu_seconds(started.pid) - cpu) / (time.monotonic() - at), memory(started.pid)


BENCHMARK = Benchmark(
    "idle",
    f"`blackbox serve` at 2 Hz without clients, on the fake driver with {GPUS} GPUs × {PROCESSES} processes.",
    run,
)
