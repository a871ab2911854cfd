"""Answers while the driver or a client misbehaves."""

import contextlib
import json
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from benchmarks.fake_machine import FakeMachine, fake_machine
from benchmarks.harness import (
    SERVER_CORE,
    SETTLE_SECONDS,
    blackbox,
    free_port,
    process,
    wait_for_sample,
)
from benchmarks.plan import Benchmark, Plan, Row
from tests.fake_nvml import gpu_uuid

GPUS = 8
PROCESSES = 8
SICK = 3
P99_MILLISECONDS_MAX = 50.0
FRESH_SECONDS_MAX = 1.5
ASK_SECONDS = 0.01
"""Between two questions: pollers and dashboards, not a load test."""
HANG_SECONDS = 600.0
RECEIVE_BYTES = 4096

Fault = Callable[[FakeMachine, int], contextlib.AbstractContextManager[None]]


class Answers(NamedTuple):
    """What pollers got while a fault lasted."""

    p99_milliseconds: float
    others_age_seconds: float
    """The oldest figures of a healthy GPU in any answer."""
    named: str
    """How the answer tells the fault."""
    count: int


def run(plan: Plan) -> list[Row]:
    """The p99 of `GET /vram` under each fault, how old the healthy GPUs' figures got, and the fault's name."""
    return [_row(name, _measure(fault, plan.seconds)) for name, fault in FAULTS.items()]


def _row(name: str, answers: Answers) -> Row:
    return Row(
        figure=name,
        unit="ms p99",
        ours=answers.p99_milliseconds,
        target=f"≤ {P99_MILLISECONDS_MAX:g}",
        met=answers.p99_milliseconds <= P99_MILLISECONDS_MAX and answers.others_age_seconds <= FRESH_SECONDS_MAX,
        note=f"{answers.count} answers, other GPUs' figures at most {answers.others_age_seconds:.2f} s old; "
        f"the answer says: {answers.named or 'nothing'}",
    )


def _measure(fault: Fault, seconds: float) -> Answers:
    port = free_port()
    with (
        fake_machine(GPUS, PROCESSES) as machine,
        process(blackbox("serve", str(port)), SERVER_CORE, machine.environment) as started,
    ):
        wait_for_sample(port, started)
        time.sleep(SETTLE_SECONDS)
        with fault(machine, port):
            return _poll(port, seconds)


def _poll(port: int, seconds: float) -> Answers:
    times: list[float] = []
    oldest, named = 0.0, ""
    until = time.monotonic() + max(seconds, 2 * FRESH_SECONDS_MAX)
    while time.monotonic() < until:
        asked_at = time.perf_counter()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/vram?blocks=none", timeout=5) as response:
            body = response.read()
        times.append(1e3 * (time.perf_counter() - asked_at))
        answer: dict[str, Any] = json.loads(body)
        healthy = [gpu["age_seconds"] for gpu in answer["gpus"] if gpu["index"] != SICK]
        oldest = max(oldest, *healthy)
        named = _told(answer) or named
        time.sleep(ASK_SECONDS)
    times.sort()
    return Answers(times[int(0.99 * len(times))], oldest, named, len(times))


def _told(answer: dict[str, Any]) -> str:
    sick = [gpu["reason"] for gpu in answer["gpus"] if gpu["index"] == SICK and gpu["reason"]]
    sources = [source["reason"] for source in answer["sources"] if source["name"] == "nvml" and source["reason"]]
    return "; ".join(dict.fromkeys(sick + sources))


@contextlib.contextmanager
def _nothing(_machine: FakeMachine, _port: int) -> Iterator[None]:
    yield


@contextlib.contextmanager
def _lost(machine: FakeMachine, _port: int) -> Iterator[None]:
    machine.driver.lose(gpu_uuid(SICK))
    yield


@contextlib.contextmanager
def _hanging(machine: FakeMachine, _port: int) -> Iterator[None]:
    machine.driver.hang("nvmlDeviceGetMemoryInfo*", seconds=HANG_SECONDS, device=gpu_uuid(SICK))
    yield


@contextlib.contextmanager
def _crashing(machine: FakeMachine, _port: int) -> Iterator[None]:
    machine.driver.crash("nvmlDeviceGetMemoryInfo*", device=gpu_uuid(SICK))
    yield


@contextlib.contextmanager
def _never_reading(_machine: FakeMachine, port: int) -> Iterator[None]:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        client.connect(("127.0.0.1", port))
        client.sendall(b"GET /vram/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield


FAULTS: dict[str, Fault] = {
    "no fault": _nothing,
    f"GPU {SICK} lost": _lost,
    f"memory call of GPU {SICK} hangs for 10 minutes": _hanging,
    f"driver crashes at each memory call of GPU {SICK}": _crashing,
    "a client that never reads its stream": _never_reading,
}

BENCHMARK = Benchmark(
    "faults",
    f"`GET /vram` about 100 times a second while something is wrong; fake driver, {GPUS} GPUs × {PROCESSES} processes.",
    run,
)
