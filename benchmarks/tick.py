"""One tick on 8 GPUs with 32 processes each: ours as it runs, beside one snapshot of nvitop and of gpustat."""

import json
import os
import subprocess
import time
from importlib.util import find_spec

from benchmarks.crowd import deliver
from benchmarks.fake_machine import fake_machine
from benchmarks.harness import (
    ROOT,
    SERVER_CORE,
    SETTLE_SECONDS,
    blackbox,
    free_port,
    in_turns,
    median,
    process,
    python,
    wait_for_sample,
)
from benchmarks.load import Load
from benchmarks.plan import Benchmark, Plan, Row

GPUS = 8
PROCESSES = 32
MILLISECONDS_MAX = 2.0
RATIO_MAX = 1 / 20
PEERS = ("nvitop", "gpustat")
"""Modules of `benchmarks.peers`."""


def run(plan: Plan) -> list[Row]:
    """CPU milliseconds per tick, parent and child together."""
    with fake_machine(GPUS, PROCESSES) as machine:
        installed = [name for name in PEERS if find_spec(name)]
        results = in_turns(
            plan.rounds,
            lambda: _ours(machine.environment, plan.seconds),
            *(lambda name=name: _theirs(name, machine.environment, plan.seconds) for name in installed),
        )
    ours, *theirs = map(median, results)
    costs = dict(zip(installed, theirs, strict=True))
    rows = [
        Row(
            figure="sample, merge, encode, send",
            unit="ms CPU per tick",
            ours=ours,
            target="≤ 2 ms",
            met=ours <= MILLISECONDS_MAX,
            note="`blackbox serve --no-record` and its child at 2 Hz with one stream open, all they do counted",
        )
    ]
    for name in PEERS:
        cost = costs.get(name)
        rows.append(
            Row(
                figure=f"beside {name}'s snapshot",
                unit="ms CPU per tick",
                ours=ours,
                peer=name if cost else f"peer not installed: {name}",
                theirs=cost,
                target="≤ 1/20",
                met=ours <= cost * RATIO_MAX if cost else None,
            )
        )
    return rows


def _ours(environment: dict[str, str], seconds: float) -> float:
    port = free_port()
    with process(blackbox("serve", str(port), "--no-record"), SERVER_CORE, environment) as started:
        wait_for_sample(port, started)
        time.sleep(SETTLE_SECONDS)
        got = deliver(Load(port=port, path="/vram/stream", clients=1, seconds=seconds, server_pid=started.pid))
    return got.server_cpu_seconds / max(1, got.events) * 1e3


def _theirs(name: str, environment: dict[str, str], seconds: float) -> float:
    command = python("-m", f"benchmarks.peers.{name}_snapshot", str(seconds))
    done = subprocess.run(
        ["taskset", "-c", str(SERVER_CORE), *map(str, command)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
        timeout=seconds + 60,
    )
    return json.loads(done.stdout)


BENCHMARK = Benchmark("tick", f"One tick for {GPUS} GPUs × {PROCESSES} processes on the fake driver.", run)
