"""`./run soak [--minutes N]`: a server at 10 Hz under churn for two hours: do memory, descriptors or threads grow?

Exit code 1 where the slope of its memory is above the limit, or descriptors or threads do not come back.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psutil

from benchmarks.fake_machine import fake_machine
from benchmarks.harness import BrokenRunError, blackbox, free_port, process, require_alive, wait_for_sample
from benchmarks.plan import Benchmark, Plan, Row
from benchmarks.soak_churn import Churn

MINUTES = 120.0
INTERVAL = "0.1"
GPUS = 2
READ_SECONDS = 1.0
WARM_SECONDS_MAX = 600.0
WARM_SHARE = 6
"""Caches fill, and the allocator finds its size: the first ten minutes, or a sixth of a shorter run, are not judged."""
SLOPE_MAX = 1.0
"""MiB an hour: what a leak of 50 bytes a tick comes to is twice that."""
SPARE = 5
"""Descriptors and threads that may be there in the end and were not in the beginning: of workers made when needed."""
RECORDING_SUFFIXES = (".db", ".db-wal", ".db-shm")
"""The recording's files, opened when there is something for them to hold; how many there are, its tiers bound."""
START_TRIES = 10
"""Beside a load of ten, a server takes a minute to start."""
SETTLE_SECONDS = 60.0
"""In which the last connections of the churn end."""
MIB = 1 << 20


class Reading(NamedTuple):
    """The server and its children, at one time."""

    seconds: float
    memory_bytes: int
    descriptors: int
    threads: int


class Soaked(NamedTuple):
    """What a run came to."""

    seconds: float
    slope: float
    """MiB an hour, of the time that is judged."""
    first: Reading
    """After the warm-up."""
    last: Reading
    """Under churn."""
    before: Reading
    """Before the churn began."""
    after: Reading
    """After it had ended."""
    done: Mapping[str, int]
    failed: Mapping[str, int]

    @property
    def is_flat(self) -> bool:
        """Descriptors and threads came back to where they were."""
        return (
            self.after.descriptors <= self.before.descriptors + SPARE
            and self.after.threads <= self.before.threads + SPARE
        )


def soak(seconds: float, seed: int = 1) -> Soaked:
    """Runs a server under churn for so long. Raises `BrokenRunError`, `PeerMissingError`."""
    with fake_machine(GPUS, 0) as machine, TemporaryDirectory(prefix="blackbox-soak-") as folder:
        agents, port = str(Path(folder, "agent.sock")), free_port()
        words = ("--interval", INTERVAL, "--agent-socket", agents, "--data-dir", str(Path(folder, "data")))
        with process(blackbox("serve", str(port), *words), None, machine.environment) as server:
            _start(port, server)
            began = time.monotonic()
            before = _settled(server.pid, began, None)
            readings: list[Reading] = []
            with Churn(port, machine.driver, agents, seed) as churn:
                while time.monotonic() < began + seconds:
                    time.sleep(READ_SECONDS)
                    require_alive(server)
                    readings.append(_read(server.pid, began))
            after = _settled(server.pid, began, before)
            warm = min(WARM_SECONDS_MAX, seconds / WARM_SHARE)
            judged = [one for one in readings if one.seconds > warm] or readings
            return Soaked(seconds, slope(judged), judged[0], judged[-1], before, after, churn.done, churn.failed)


def slope(readings: Sequence[Reading]) -> float:
    """MiB an hour, by least squares; 0 of fewer than two readings."""
    if len(readings) < 2:
        return 0.0
    per_second, _ = statistics.linear_regression(
        [one.seconds for one in readings], [one.memory_bytes / MIB for one in readings]
    )
    return per_second * 3600


def _start(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Waits for its first sample. Raises `BrokenRunError`."""
    for _ in range(START_TRIES - 1):
        with suppress(BrokenRunError):
            return wait_for_sample(port, server)
    return wait_for_sample(port, server)


def _settled(pid: int, began: float, wanted: Reading | None) -> Reading:
    """Once there are no more descriptors and threads than `wanted`, or after `SETTLE_SECONDS`."""
    ends_at = time.monotonic() + SETTLE_SECONDS
    while True:
        found = _read(pid, began)
        calm = wanted is None or (found.descriptors <= wanted.descriptors and found.threads <= wanted.threads)
        if calm or time.monotonic() > ends_at:
            return found
        time.sleep(READ_SECONDS)


def _read(pid: int, began: float) -> Reading:
    server = psutil.Process(pid)
    memory = descriptors = threads = 0
    for one in (server, *server.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # a helper that has just ended
            held, opened, running = one.memory_info().rss, _descriptors(one), one.num_threads()
            memory, descriptors, threads = memory + held, descriptors + opened, threads + running
    return Reading(time.monotonic() - began, memory, descriptors, threads)


def _descriptors(process: psutil.Process) -> int:
    """Open descriptors, but for the recording's files."""
    recording = [file for file in process.open_files() if file.path.endswith(RECORDING_SUFFIXES)]
    return process.num_fds() - len(recording)


def rows(found: Soaked) -> list[Row]:
    """As lines of the table."""
    minutes = f"a run of {found.seconds / 60:g} minutes"
    done = ", ".join(f"{count} {name}" for name, count in sorted(found.done.items()))
    failed = ", ".join(f"{count} x {name}" for name, count in sorted(found.failed.items())) or "none"
    grown = (found.after.descriptors - found.before.descriptors, found.after.threads - found.before.threads)
    return [
        Row(
            figure="memory under churn, server and driver process", unit="MiB/h", ours=found.slope,
            target=f"<= {SLOPE_MAX:g}", met=found.slope <= SLOPE_MAX,
            note=f"{minutes}; {found.first.memory_bytes / MIB:.1f} MiB after the warm-up, "
            f"{found.last.memory_bytes / MIB:.1f} in the end; {done}; failed: {failed}",
        ),
        Row(
            figure="descriptors more than before the churn, but for the recording's files", unit="", ours=grown[0],
            target=f"<= {SPARE}", met=grown[0] <= SPARE,
            note=f"{found.before.descriptors} before, {found.last.descriptors} under churn",
        ),
        Row(
            figure="threads more than before the churn", unit="", ours=grown[1], target=f"<= {SPARE}",
            met=grown[1] <= SPARE, note=f"{found.before.threads} before, {found.last.threads} under churn",
        ),
    ]  # fmt: skip


def _run(plan: Plan) -> list[Row]:
    return rows(soak(plan.seconds))


BENCHMARK = Benchmark(
    "soak",
    "`./run soak`: a server at 10 Hz with recording, while processes, agents with blocks, GETs, streams, resumes and"
    " slow readers come and go; slope by least squares after ten minutes, or a sixth of a shorter run."
    " Of 40 minutes half an hour is judged, which meets one full hour at the most: a single step of half a MiB in its"
    " middle tells as 1.5 MiB/h. Of two hours the same step tells as 0.4, and what comes once an hour comes twice.",
    _run,
)


def main() -> int:
    """Runs it and puts it in the table; 1 when a figure is not met."""
    from benchmarks import report
    from benchmarks.__main__ import measure

    parser = argparse.ArgumentParser(prog="./run soak", description="Does the server grow under churn?")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"(default: {MINUTES:g})")
    arguments = parser.parse_args()
    if not measure(BENCHMARK, Plan(rounds=1, seconds=arguments.minutes * 60, long=True)):
        return 1
    return 0 if all(row.met for row in report.load()[BENCHMARK.name].rows) else 1


if __name__ == "__main__":
    sys.exit(main())
