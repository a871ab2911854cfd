"""A training loop of a real PyTorch with the agent in it: how much slower its steps are while it looks.

Two runs of the same program differ by more than the agent costs, for how their memory happens to lie. So there is one
program, and its probe is switched on and off in turns.
"""

import json
import os
import statistics
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.fake_machine import fake_machine
from benchmarks.harness import (
    SETTLE_SECONDS,
    BrokenRunError,
    PeerMissingError,
    blackbox,
    free_port,
    in_turns,
    process,
    wait_for_sample,
)
from benchmarks.plan import Benchmark, Plan, Row
from tests import vllm_environment
from tests.fake_nvml import FakeDriver, Process, gpu_uuid
from tests.gpu.rig import ROOT, SHIM, Program

USED_BYTES = 1 << 30
PROBES = "benchmarks.cuda_stand_in=benchmarks.training_probe"
PYTHON_VARIABLE = "BLACKBOX_TORCH_PYTHON"
WARM_UP_STEPS = 200
TURN_SECONDS = 2.0
"""So short that what else the machine does meets both; so long that blocks are told in each."""
PATIENCE_SECONDS = 30


class Turns(NamedTuple):
    """Seconds of each step, turn by turn."""

    on: list[list[float]]
    off: list[list[float]]
    agent_percent: float
    """Of a core, while it was on."""


def run(plan: Plan) -> list[Row]:
    """Raises `PeerMissingError` where no PyTorch can be installed."""
    python = _python()
    with (
        TemporaryDirectory() as folder,
        _server(Path(folder)) as (socket, port, driver),
        _program(python, socket) as program,
    ):
        driver.machine.gpus[0].processes = [Process(pid=program.pid, used_bytes=USED_BYTES)]
        driver.write()
        _wait_for_blocks(port, program.pid)
        return [_row(program.facts["blocks"], _take_turns(plan, port, program))]


def _take_turns(plan: Plan, port: int, program: Program) -> Turns:
    steps = round(TURN_SECONDS / statistics.fmean(_ask(program, "off", WARM_UP_STEPS)))
    turns = max(2, round(plan.rounds * plan.seconds / TURN_SECONDS))
    before = _cost(port)
    on, off = in_turns(turns, lambda: _ask(program, "on", steps), lambda: _ask(program, "off", steps))
    time.sleep(SETTLE_SECONDS)  # its last report
    return Turns(on, off, 100 * (_cost(port) - before) / sum(map(sum, on)))


def _row(blocks: int, turns: Turns) -> Row:
    on, off = ([step for steps in rounds for step in steps] for rounds in turns[:2])
    slower = [
        100 * (statistics.fmean(with_it) / statistics.fmean(without) - 1)
        for with_it, without in zip(turns.on, turns.off, strict=True)
    ]
    error = statistics.stdev(slower) / len(slower) ** 0.5
    return Row(
        figure=f"training loop with {blocks:,} blocks", unit="ms per step, mean",
        ours=statistics.fmean(on) * 1e3, peer="the same program, the agent silent", theirs=statistics.fmean(off) * 1e3,
        note=f"{statistics.fmean(slower):+.2f} % ± {error:.2f} (standard error of {len(slower)} pairs of turns); "
        f"99th percentile {_p99(on):.2f} ms, silent {_p99(off):.2f}; largest {max(on) * 1e3:.1f} ms, silent "
        f"{max(off) * 1e3:.1f}; {len(on):,} steps each; the agent took {turns.agent_percent:.2f} % of a core",
    )  # fmt: skip


def _python() -> str:
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        return named
    try:
        return str(vllm_environment.python())
    except vllm_environment.NotInstalledError as error:
        raise PeerMissingError(str(error)) from None


@contextmanager
def _server(home: Path) -> Iterator[tuple[Path, int, FakeDriver]]:
    """Blackbox on a machine with one GPU: its socket for agents, its port, and the driver."""
    socket, port = home / "agent.sock", free_port()
    words = ("--agent-socket", str(socket), "--no-record")
    with (
        fake_machine(1, 0) as machine,
        process(blackbox("serve", str(port), *words), env=machine.environment) as server,
    ):
        wait_for_sample(port, server)
        yield socket, port, machine.driver


@contextmanager
def _program(python: str, socket: Path) -> Iterator[Program]:
    variables = {
        "PYTHONPATH": os.pathsep.join(map(str, (SHIM, ROOT))),
        "BLACKBOX_AGENT": "1",
        "BLACKBOX_AGENT_SOCKET": str(socket),
        "BLACKBOX_AGENT_PROBES": PROBES,
    }
    path = str(ROOT / "benchmarks" / "training_program.py")
    with Program(python, path, gpu_uuid(0), variables=variables) as program:
        yield program


def _ask(program: Program, switch: str, steps: int) -> list[float]:
    return program.ask(f"{switch} {steps}")["seconds"]


def _wait_for_blocks(port: int, pid: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not any(row["pid"] == pid and row["address"] for row in _vram(port, "full")["blocks"]):
        if time.monotonic() > until:
            raise BrokenRunError("the agent told no blocks")
        time.sleep(0.2)


def _cost(port: int) -> float:
    """CPU seconds of the agent."""
    sources = _vram(port, "none")["sources"]
    return next(source["cost"]["agents_cpu_seconds"] for source in sources if source["name"] == "agents")


def _vram(port: int, blocks: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/vram?blocks={blocks}", timeout=10) as answer:
        return json.load(answer)


def _p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * (len(values) - 1))] * 1e3


BENCHMARK = Benchmark(
    "training",
    "A training loop of a real PyTorch on the CPU, mostly Python, whose allocator says it has 15,000 blocks on a GPU; "
    f"the agent in it looks, and does not, in turns of {TURN_SECONDS:g} s.",
    run,
)
