"""A training loop of a real PyTorch with the agent in it and without: how much slower its steps are."""

import json
import os
import signal
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
    PeerMissingError,
    blackbox,
    free_port,
    in_turns,
    median,
    process,
    wait_for_sample,
)
from benchmarks.plan import Benchmark, Plan, Row
from tests import vllm_environment
from tests.fake_nvml import FakeDriver, Process, gpu_uuid
from tests.gpu.rig import ROOT, SHIM, Program

BLOCKS = 15_000
USED_BYTES = 1 << 30
PROBES = "benchmarks.cuda_stand_in=benchmarks.training_probe"
PYTHON_VARIABLE = "BLACKBOX_TORCH_PYTHON"
WARM_UP_STEPS = 50


class Turns(NamedTuple):
    """Seconds of each step, round by round."""

    within: list[list[float]]
    without: list[list[float]]
    agent_percent: float
    """Of a core, while the program with the agent ran."""


def run(plan: Plan) -> list[Row]:
    """Raises `PeerMissingError` where no PyTorch can be installed."""
    python = _python()
    with (
        TemporaryDirectory() as folder,
        _server(Path(folder)) as (socket, port, driver),
        _program(python, None) as bare,
        _program(python, socket) as watched,
    ):
        driver.machine.gpus[0].processes = [Process(pid=watched.pid, used_bytes=USED_BYTES)]
        driver.write()
        _wait_for_blocks(port, watched.pid)
        return [_row(_take_turns(plan, port, bare, watched))]


def _take_turns(plan: Plan, port: int, bare: Program, watched: Program) -> Turns:
    steps = _steps(bare, plan.seconds)
    _ask(watched, WARM_UP_STEPS)
    before = _cost(port)
    within, without = in_turns(plan.rounds, lambda: _ask(watched, steps), lambda: _ask(bare, steps))
    time.sleep(SETTLE_SECONDS)  # its last report
    return Turns(within, without, 100 * (_cost(port) - before) / sum(map(sum, within)))


def _row(turns: Turns) -> Row:
    within, without = ([step for steps in rounds for step in steps] for rounds in turns[:2])
    slower = [
        100 * (statistics.fmean(ours) / statistics.fmean(theirs) - 1)
        for ours, theirs in zip(turns.within, turns.without, strict=True)
    ]
    return Row(
        figure=f"training loop with {BLOCKS:,} blocks", unit="ms per step, mean",
        ours=statistics.fmean(within) * 1e3, peer="without the agent", theirs=statistics.fmean(without) * 1e3,
        note=f"{median(slower):+.2f} %, rounds {min(slower):+.2f} to {max(slower):+.2f}; 99th percentile "
        f"{_p99(within):.2f} ms, without {_p99(without):.2f}; largest {max(within) * 1e3:.1f} ms, without "
        f"{max(without) * 1e3:.1f}; {len(within):,} steps each; the agent took {turns.agent_percent:.2f} % of a core",
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
    with (
        fake_machine(1, 0) as machine,
        process(
            blackbox("serve", str(port), "--agent-socket", str(socket), "--no-record"), env=machine.environment
        ) as it,
    ):
        wait_for_sample(port, it)
        yield socket, port, machine.driver


@contextmanager
def _program(python: str, socket: Path | None) -> Iterator[Program]:
    """The program, stopped except while it is asked: it takes nothing from the other."""
    path = os.pathsep.join(map(str, (SHIM, ROOT) if socket else (ROOT,)))
    agent = {"BLACKBOX_AGENT": "1", "BLACKBOX_AGENT_SOCKET": str(socket), "BLACKBOX_AGENT_PROBES": PROBES}
    program = str(ROOT / "benchmarks" / "training_program.py")
    variables = {"PYTHONPATH": path, **(agent if socket else {})}
    with Program(python, program, gpu_uuid(0), variables=variables) as started:
        yield started


def _ask(program: Program, steps: int) -> list[float]:
    os.kill(program.pid, signal.SIGCONT)
    try:
        return program.ask(str(steps))["seconds"]
    finally:
        os.kill(program.pid, signal.SIGSTOP)


def _steps(program: Program, seconds: float) -> int:
    """How many fit into a round."""
    _ask(program, WARM_UP_STEPS)
    return max(1, round(seconds / statistics.fmean(_ask(program, WARM_UP_STEPS))))


def _wait_for_blocks(port: int, pid: int) -> None:
    until = time.monotonic() + 30
    while not any(row["pid"] == pid and row["address"] for row in _vram(port, "full")["blocks"]):
        if time.monotonic() > until:
            raise PeerMissingError("the agent told no blocks")
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
    "A training loop of a real PyTorch on the CPU, mostly Python, whose allocator says it has "
    f"{BLOCKS:,} blocks on a GPU; with the agent and without, in turns, the other stopped.",
    run,
)
