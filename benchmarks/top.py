"""`blackbox top` on a terminal, over a machine whose memory moves, beside nvitop's monitor."""

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import structs

from benchmarks.fake_machine import fake_machine
from benchmarks.harness import BrokenRunError, blackbox, cpu_seconds, in_turns, median, script
from benchmarks.lifelike import INTERVAL_SECONDS, LifelikeMachine
from benchmarks.plan import Benchmark, Plan, Row
from tests.serving import Serving

GPUS, PROCESSES = 2, 25
COLUMNS, ROWS = 120, 40
CPU_PERCENT_MAX = 5.0
START_SECONDS = 6.0
"""Imports, first answers and first picture are over."""
PAGES = {"overview": b"1", "processes": b"4"}


def run(plan: Plan) -> list[Row]:
    """CPU in percent of a core."""
    ours: dict[str, float] = {}
    with _living_server() as url:
        for page, key in PAGES.items():
            command = blackbox("top", "--url", url)
            (values,) = in_turns(plan.rounds, lambda command=command, key=key: _watched(command, key, plan.seconds))
            ours[page] = median(values)
    theirs = _nvitop(plan)
    peer = (
        "nvitop --interval 0.5, which reads the driver itself" if theirs is not None else "peer not installed: nvitop"
    )
    return [
        Row(
            figure=f"{page}: CPU",
            unit="% of a core",
            ours=value,
            peer=peer,
            theirs=theirs,
            target="≤ 5 %",
            met=value <= CPU_PERCENT_MAX,
        )
        for page, value in ours.items()
    ]


@contextlib.contextmanager
def _living_server() -> Iterator[str]:
    """A server whose machine moves at 2 Hz."""
    machine = LifelikeMachine(GPUS, PROCESSES)
    over = threading.Event()
    with Serving() as serving:

        def publish() -> None:
            while not over.wait(INTERVAL_SECONDS):
                moment = machine.moment()
                now = time.monotonic()
                samples = tuple(
                    structs.replace(
                        one,
                        taken_at=now,
                        processes_taken_at=now,
                        devices=tuple(structs.replace(device, taken_at=now) for device in one.devices),
                    )
                    for one in moment.samples
                )
                serving.hub.publish(structs.replace(moment, samples=samples, taken_at=now, timestamp=time.time()))

        publisher = threading.Thread(target=publish)
        publisher.start()
        try:
            yield serving.url
        finally:
            over.set()
            publisher.join()


def _nvitop(plan: Plan) -> float | None:
    command = script("nvitop")
    if command is None:
        return None
    with fake_machine(GPUS, PROCESSES) as machine:
        words = [command, "--monitor", "full", "--interval", str(INTERVAL_SECONDS)]
        (values,) = in_turns(plan.rounds, lambda: _watched(words, b"", plan.seconds, machine.environment))
    return median(values)


def _watched(
    command: Sequence[str | Path], key: bytes, seconds: float, environment: dict[str, str] | None = None
) -> float:
    """CPU of a program on a terminal of its own, in percent of a core."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    variables = {**os.environ, "TERM": "xterm-256color", **(environment or {})}
    variables.pop("NO_COLOR", None)
    drawn = _Reader(ours)
    with subprocess.Popen(
        [str(word) for word in command], stdin=its, stdout=its, stderr=its, env=variables, start_new_session=True
    ) as started:
        try:
            os.close(its)
            drawn.start()
            time.sleep(START_SECONDS / 2)
            os.write(ours, key)
            time.sleep(START_SECONDS / 2)
            cpu, at, before = cpu_seconds(started.pid), time.monotonic(), drawn.bytes
            time.sleep(seconds)
            spent = 100 * (cpu_seconds(started.pid) - cpu) / (time.monotonic() - at)
            if started.poll() is not None or drawn.bytes == before:
                raise BrokenRunError(f"{command[0]} ended or drew nothing: {drawn.end!r}")
        finally:
            started.kill()
            started.wait()
            drawn.join()
            os.close(ours)
    return spent


class _Reader(threading.Thread):
    """Takes what a program draws, as a terminal does."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.bytes = 0
        self.end = b""

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._descriptor, 65536):
                self.bytes += len(data)
                self.end = (self.end + data)[-500:]


BENCHMARK = Benchmark(
    "top",
    f"`blackbox top` at {COLUMNS} × {ROWS} and 2 Hz, over a server whose {GPUS} GPUs have {PROCESSES} processes each.",
    run,
)
