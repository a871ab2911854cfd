"""From the command to the first sample, and to the help text."""

import os
import subprocess
import time

from benchmarks.fake_machine import fake_machine
from benchmarks.harness import (
    SERVER_CORE,
    BrokenRunError,
    blackbox,
    free_port,
    in_turns,
    median,
    process,
    script,
    wait_for_sample,
)
from benchmarks.plan import Benchmark, Plan, Row

READY_MILLISECONDS_MAX = 500
HELP_MILLISECONDS_MAX = 100


def run(plan: Plan) -> list[Row]:
    """Milliseconds until /readyz says 200, and until `--help` has ended."""
    rounds = plan.rounds * 2 + 1
    with fake_machine(8, 0) as machine:
        ready = median([_to_first_sample(machine.environment) for _ in range(rounds)])
    names = ["blackbox", *(name for name in ("gpustat", "nvitop") if script(name))]
    results = in_turns(rounds, *(lambda name=name: _help(name) for name in names))
    wall = {name: median([one[0] for one in result]) for name, result in zip(names, results, strict=True)}
    cpu = {name: median([one[1] for one in result]) for name, result in zip(names, results, strict=True)}
    rows = [
        Row(
            figure="`blackbox serve` to first sample",
            unit="ms",
            ours=ready,
            target="≤ 500 ms",
            met=ready <= READY_MILLISECONDS_MAX,
            note="until `/readyz` answers 200; fake driver with 8 GPUs",
        )
    ]
    for name in names[1:] or [""]:
        rows += [
            Row(
                figure=f"`blackbox --help` beside `{name} --help`" if name else "`blackbox --help`",
                unit="ms",
                ours=wall["blackbox"],
                peer=name or "peer not installed: gpustat, nvitop",
                theirs=wall.get(name),
                target="≤ 100 ms",
                met=wall["blackbox"] <= HELP_MILLISECONDS_MAX,
                note=f"CPU {cpu['blackbox']:.0f} ms" + (f", {name} {cpu[name]:.0f} ms" if name else ""),
            )
        ]
    return rows


def _help(name: str) -> tuple[float, float]:
    command = script(name)
    if command is None:
        raise BrokenRunError(f"{name} is not installed")
    before, started = os.times(), time.monotonic()
    subprocess.run([command, "--help"], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.monotonic() - started, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall * 1e3, cpu * 1e3


def _to_first_sample(environment: dict[str, str]) -> float:
    port = free_port()
    started_at = time.monotonic()
    with process(blackbox("serve", str(port)), SERVER_CORE, environment) as started:
        wait_for_sample(port, started)
        return (time.monotonic() - started_at) * 1e3


BENCHMARK = Benchmark("startup", "Time from a command to what the user waits for.", run)
