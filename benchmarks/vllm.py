"""A real vLLM server on the CPU with the agent in it and without: how many tokens it makes, and at what cost."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.fake_machine import fake_machine
from benchmarks.harness import (
    PeerMissingError,
    blackbox,
    cpu_seconds,
    free_port,
    in_turns,
    process,
    wait_for_sample,
)
from benchmarks.plan import Benchmark, Plan, Row
from tests import vllm_environment
from tests.fake_nvml import Process, gpu_uuid
from tests.vllm_rig import VllmServer

REQUESTS = 8
"""At the same time, as many as the server runs at once."""
TOKENS = 300
"""Made for each."""
USED_BYTES = 300 << 20


class Round(NamedTuple):
    tokens_per_second: float
    cpu_per_token: float
    """Microseconds, of all processes of the server."""


def run(plan: Plan) -> list[Row]:
    """Raises `PeerMissingError` where no vLLM can be installed."""
    try:
        vllm_environment.python()
    except vllm_environment.NotInstalledError as error:
        raise PeerMissingError(str(error)) from None
    with TemporaryDirectory() as folder, _server(Path(folder)) as (within, without):
        for server in (within, without):
            _round(server, plan.seconds)  # compiles, fills caches
        ours, theirs = in_turns(
            plan.rounds, lambda: _round(within, plan.seconds), lambda: _round(without, plan.seconds)
        )
    return [
        _row(
            "tokens per second", "1/s", [one.tokens_per_second for one in ours], [o.tokens_per_second for o in theirs]
        ),
        _row("CPU per token", "µs", [one.cpu_per_token for one in ours], [one.cpu_per_token for one in theirs]),
    ]


@contextmanager
def _server(home: Path) -> Iterator[tuple[VllmServer, VllmServer]]:
    """One server with the agent in it and one without, and Blackbox, which hears the agent."""
    socket, port = home / "agent.sock", free_port()
    for name in ("within", "without"):
        (home / name).mkdir()
    with (
        fake_machine(1, 0) as machine,
        process(
            blackbox("serve", str(port), "--agent-socket", str(socket), "--no-record"), env=machine.environment
        ) as it,
        VllmServer(home / "within", socket, gpu_uuid(0), hurried=False) as within,
        VllmServer(home / "without", socket, gpu_uuid(0), agent=False) as without,
    ):
        wait_for_sample(port, it)
        (worker,) = within.pids("VLLM::Worker")
        machine.driver.machine.gpus[0].processes = [Process(pid=worker, used_bytes=USED_BYTES)]
        machine.driver.write()
        yield within, without


def _round(server: VllmServer, seconds_min: float) -> Round:
    cpu, began, made = cpu_seconds(server.pid), time.monotonic(), 0
    while time.monotonic() < began + seconds_min:
        with server.load(REQUESTS, TOKENS):
            made += REQUESTS * TOKENS
    seconds = time.monotonic() - began
    return Round(made / seconds, (cpu_seconds(server.pid) - cpu) / made * 1e6)


def _row(figure: str, unit: str, ours: list[float], theirs: list[float]) -> Row:
    within, without = statistics.median(ours), statistics.median(theirs)
    return Row(
        figure=figure,
        unit=unit,
        ours=within,
        peer="the same server without the agent",
        theirs=without,
        note=f"{100 * (within / without - 1):+.1f} %; {_spread('with', ours)}, {_spread('without', theirs)}",
    )


def _spread(name: str, values: list[float]) -> str:
    return f"{name} {min(values):.0f} to {max(values):.0f}"


BENCHMARK = Benchmark(
    "vllm",
    f"A real vLLM on the CPU with two layers, {REQUESTS} requests of {TOKENS} tokens at once, the agent as it comes; "
    "both servers are up, and asked in turns.",
    run,
)
