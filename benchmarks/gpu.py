"""On a machine with an NVIDIA GPU: what the driver's calls cost, and what the agent costs a training loop there."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.crowd import deliver
from benchmarks.harness import ROOT, SETTLE_SECONDS, PeerMissingError, cpu_seconds, median, python
from benchmarks.load import Load
from benchmarks.plan import Benchmark, Plan, Row
from tests.gpu.rig import PROGRAMS, Program, Server, reports

PYTHON_VARIABLE = "BLACKBOX_TORCH_PYTHON"
MIB = 1 << 20
TAKEN_MIB = 64
PROGRAMS_LISTED = (1, 8, 32)
CALLS = 30
CACHED = 14_300
"""Small tensors beside the model, so that the allocator has some 15,000 blocks."""
STEPS_PER_SECOND = 50
SLOWDOWN_PERCENT_MAX = 1.0
WARM_UP_STEPS = 20
PEERS = ("nvitop", "gpustat")
VARIANTS = ("", "threads", "history", "cupti")
"""Extras of the agent; the program without it is the peer of each."""
WINDOWS = 3
WINDOW_SECONDS = 0.9
"""Within what the buffer of a window holds."""
SNAPSHOT_SIZES = (10_000, 100_000)
TIME_CALLS = """
import json, statistics, sys, time
import pynvml as nvml
nvml.nvmlInit()
device = nvml.nvmlDeviceGetHandleByIndex(0)
calls = {
    "memory": lambda: nvml.nvmlDeviceGetMemoryInfo(device, version=nvml.nvmlMemory_v2),
    "processes": lambda: nvml.nvmlDeviceGetComputeRunningProcesses_v3(device),
    "utilization": lambda: nvml.nvmlDeviceGetUtilizationRates(device),
    "power": lambda: nvml.nvmlDeviceGetPowerUsage(device),
    "temperature": lambda: nvml.nvmlDeviceGetTemperature(device, 0),
}
if nvml.nvmlGpmQueryDeviceSupport(device).isSupportedDevice:
    sample = nvml.nvmlGpmSampleAlloc()
    calls["GPM sample"] = lambda: nvml.nvmlGpmSampleGet(device, sample)
costs = {}
for name, call in calls.items():
    taken = []
    for _ in range(int(sys.argv[1])):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    costs[name] = statistics.median(taken) * 1e6
print(json.dumps(costs))
"""
HOLD_WINDOW = """
import sys, time
from blackbox.sources.pm_sampling.collector import Collector
collector = Collector(0)
collector.open()
print(flush=True)
sys.stdin.readline()
began = time.perf_counter()
intervals = collector.read()
collector.close()
print(len(intervals), time.perf_counter() - began, flush=True)
"""


def run(plan: Plan) -> list[Row]:
    """Raises `PeerMissingError` without a GPU."""
    if not Path("/dev/nvidiactl").exists():
        raise PeerMissingError("NVIDIA GPU")
    rows = [*_calls(), *_tick(plan.seconds)]
    torch_python = os.environ.get(PYTHON_VARIABLE) or sys.executable
    if subprocess.run([torch_python, "-c", "import torch"], capture_output=True, check=False).returncode:
        return [*rows, Row(figure="the agent in a training loop", unit="", note="PyTorch is not installed")]
    return [*rows, *_training(torch_python, plan), *_snapshots(torch_python), _window(torch_python)]


def _calls() -> Iterator[Row]:
    """How long the driver takes to answer, while so many programs hold memory."""
    for count in PROGRAMS_LISTED:
        with contextlib.ExitStack() as stack:
            _hold(stack, count)
            timed = subprocess.run(python("-c", TIME_CALLS, str(CALLS)), capture_output=True, check=True, timeout=120)
        costs: dict[str, float] = json.loads(timed.stdout)
        others = ", ".join(f"{name} {cost:.0f}" for name, cost in costs.items() if name != "processes")
        yield Row(
            figure=f"the driver's process list, {count} on the GPU", unit="µs", ours=costs["processes"],
            note=f"median of {CALLS} calls by the stock bindings; other calls, µs: {others}",
        )  # fmt: skip


def _hold(stack: contextlib.ExitStack, count: int) -> None:
    for program in [Program(sys.executable, "driver_memory.py", TAKEN_MIB) for _ in range(count)]:
        stack.enter_context(program)


def _tick(seconds: float) -> Iterator[Row]:
    """A tick on the real driver beside one snapshot of each peer."""
    with contextlib.ExitStack() as stack:
        _hold(stack, PROGRAMS_LISTED[1])
        ours = _served(seconds)
        theirs = {name: _peer(name, seconds) for name in PEERS if find_spec(name)}
    for name in PEERS:
        yield Row(
            figure=f"one tick with {PROGRAMS_LISTED[1]} programs on the GPU, beside {name}'s snapshot",
            unit="ms CPU", ours=ours, peer=name if name in theirs else f"peer not installed: {name}",
            theirs=theirs.get(name), note="`blackbox serve` as it comes, recorder on, one stream open",
        )  # fmt: skip


def _served(seconds: float) -> float:
    with TemporaryDirectory() as home, Server(Path(home)) as server:
        time.sleep(SETTLE_SECONDS)
        load = Load(port=server.port, path="/vram/stream", clients=1, seconds=seconds, server_pid=server.pid)
        got = deliver(load)
    return got.server_cpu_seconds / max(1, got.events) * 1e3


def _peer(name: str, seconds: float) -> float:
    command = [str(word) for word in python("-m", f"benchmarks.peers.{name}_snapshot", str(seconds))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=seconds + 60)
    return json.loads(done.stdout)


def _training(torch_python: str, plan: Plan) -> Iterator[Row]:
    """The same training loop with and without the agent, in turns: the one that is not asked waits."""
    steps = round(plan.seconds * STEPS_PER_SECOND)
    with TemporaryDirectory() as home, Server(Path(home)) as server, contextlib.ExitStack() as stack:
        bare = Program(torch_python, "training.py", CACHED)
        watched = {
            extras: Program(torch_python, "training.py", CACHED, socket=server.socket, extras=extras)
            for extras in VARIANTS
        }
        with ThreadPoolExecutor() as starters:  # PyTorch takes seconds to start
            list(starters.map(stack.enter_context, (bare, *watched.values())))
        for program in watched.values():
            server.wait_for(reports(program.pid))
        for program in (bare, *watched.values()):
            program.ask(str(WARM_UP_STEPS))
        taken: dict[int, list[float]] = {program.pid: [] for program in (bare, *watched.values())}
        before, began = server.cost("agents"), time.monotonic()
        server_cpu = cpu_seconds(server.pid)
        for number in range(plan.rounds):
            order = [bare, *watched.values()]
            for program in order if number % 2 == 0 else reversed(order):
                taken[program.pid] += program.ask(str(steps))["seconds"]
        elapsed = time.monotonic() - began
        after = server.cost("agents")
        server_share = 100 * (cpu_seconds(server.pid) - server_cpu) / elapsed
        blocks = bare.ask()["blocks"]
        agents = 100 * (after["agents_cpu_seconds"] - before["agents_cpu_seconds"]) / elapsed / len(watched)
        without = taken[bare.pid]
        for extras, program in watched.items():
            within = taken[program.pid]
            slower = 100 * (statistics.fmean(within) / statistics.fmean(without) - 1)
            is_default = not extras
            yield Row(
                figure=f"training loop with {blocks:,} blocks" + (f", extras {extras}" if extras else ""),
                unit="ms per step, mean", ours=statistics.fmean(within) * 1e3, peer="without the agent",
                theirs=statistics.fmean(without) * 1e3,
                target=f"≤ {SLOWDOWN_PERCENT_MAX:g} % slower" if is_default else "",
                met=slower <= SLOWDOWN_PERCENT_MAX if is_default else None,
                note=f"{slower:+.2f} %; median {_ms(median(within))}, without {_ms(median(without))}; "
                f"99th percentile {_ms(_p99(within))}, without {_ms(_p99(without))}; "
                f"largest {_ms(max(within))}, without {_ms(max(without))}; {len(within)} steps",
            )  # fmt: skip
        yield Row(
            figure=f"{len(watched)} such programs at once", unit="% of a core, each agent", ours=agents, target="≤ 1 %",
            met=agents <= SLOWDOWN_PERCENT_MAX, note=f"the server, recorder on: {server_share:.1f} % of a core",
        )  # fmt: skip


def _snapshots(torch_python: str) -> Iterator[Row]:
    """What PyTorch's own list of blocks costs the program, once."""
    for size in SNAPSHOT_SIZES:
        command = [torch_python, str(PROGRAMS / "listing.py"), str(size)]
        told = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout)
        yield Row(
            figure=f"PyTorch's list of {told['blocks']:,} blocks", unit="ms", ours=told["list_seconds"] * 1e3,
            peer="its counters", theirs=told["counters_seconds"] * 1e3,
            note=f"median; under its history of {told['history']:,} steps {_ms(told['history_seconds'])}; "
            f"one allocation {told['allocation_seconds'] * 1e6:.2f} µs, "
            f"with owners told {told['traced_seconds'] * 1e6:.2f} µs",
        )  # fmt: skip


def _window(torch_python: str) -> Row:
    """How fast a program moves memory while a window of PM sampling is open, and while none is."""
    figure = "a copying program while a window of PM sampling is open"
    if find_spec("cupti") is None:
        return Row(figure=figure, unit="GB/s", note="cupti-python is not installed")
    with Program(torch_python, "copying.py") as program:
        without, within, notes = [], [], ""
        for _ in range(WINDOWS):
            without.append(_rate(program))
            with subprocess.Popen(
                python("-c", HOLD_WINDOW),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as holder:
                assert holder.stdout
                assert holder.stdin
                if not holder.stdout.readline():
                    lines = (holder.communicate()[1] or "").splitlines()
                    return Row(figure=figure, unit="GB/s", note=lines[-1] if lines else "no window could be opened")
                within.append(_rate(program))
                print(file=holder.stdin, flush=True)
                notes = holder.stdout.readline().strip()
    return Row(
        figure=figure, unit="GB/s", ours=median(within), peer="without a window", theirs=median(without),
        note=f"samples and seconds to read the last window: {notes}",
    )  # fmt: skip


def _rate(program: Program) -> float:
    program.ask()
    time.sleep(WINDOW_SECONDS)
    return program.ask()["bytes_per_second"] / 1e9


def _p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * (len(values) - 1))]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


BENCHMARK = Benchmark("gpu", "On a real GPU: the driver's calls, and a training loop with the agent in it.", run)
