"""Processes under measurement: started on one core, their CPU and memory read with their children, always ended."""

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import psutil

ROOT = Path(__file__).resolve().parent.parent
SERVER_CORE = 0
LOAD_CORE = 1
START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 10.0
POLL_SECONDS = 0.005
SETTLE_SECONDS = 2.0
"""What a program does once, at its start, is over."""
MIB = 1024 * 1024
T = TypeVar("T")
_CPU_CLOCK_OF_PROCESS = 2
"""Linux: the clock id of another process's CPU time is its inverted pid, shifted, and this (clock_getcpuclockid)."""


class PeerMissingError(Exception):
    """The peer is not installed here."""


class BrokenRunError(Exception):
    """A process under measurement did not start, or ended early."""


class Memory(NamedTuple):
    """Memory of a process and its children, in bytes."""

    rss: int
    """Sum of the resident sets: pages shared between them count in each."""
    pss: int
    """Shared pages divided among all that map them."""


def family(pid: int) -> list[int]:
    """The process and all its living descendants."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def cpu_seconds(pid: int) -> float:
    """CPU time of the process, of its living descendants, and of the children it has reaped."""
    total = 0.0
    for member in family(pid):
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            own = time.clock_gettime_ns((~member << 3) | _CPU_CLOCK_OF_PROCESS) / 1e9
            reaped = psutil.Process(member).cpu_times()
            total += own + reaped.children_user + reaped.children_system
    return total


def memory(pid: int) -> Memory:
    """Resident memory of the process and all its descendants."""
    rss = pss = 0
    for member in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            info = psutil.Process(member).memory_full_info()
            rss += info.rss
            pss += info.pss
    return Memory(rss, pss)


@contextlib.contextmanager
def process(
    command: Sequence[str | Path], core: int | None = None, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the command, pinned to one core if told so, and ends it with its whole family. A server that is told no
    directory records into one of its own, which goes with it, and not into that of who runs the benchmarks."""
    pinned = [*(() if core is None else ("taskset", "-c", str(core % (os.cpu_count() or 1)))), *map(str, command)]
    with (
        tempfile.TemporaryDirectory(prefix="blackbox-bench-", ignore_cleanup_errors=True) as state,
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            pinned,
            cwd=ROOT,
            env={**os.environ, "STATE_DIRECTORY": state, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as started,
    ):
        try:
            yield started
        except BrokenRunError as error:
            log.seek(0)
            raise BrokenRunError(f"{error}\n{log.read().decode(errors='replace')[-2000:]}") from error
        finally:
            _end(started)


def _end(started: subprocess.Popen[bytes]) -> None:
    try:
        members = [psutil.Process(pid) for pid in family(started.pid)]
    except psutil.NoSuchProcess:
        members = []
    started.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        started.wait(STOP_SECONDS_MAX)
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    started.wait()


def python(*arguments: str | Path) -> list[str | Path]:
    """A command line for the interpreter that runs the benchmarks."""
    return [sys.executable, *arguments]


def script(name: str) -> str | None:
    """The installed command of this name, of this environment before others."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def blackbox(*arguments: str) -> list[str | Path]:
    """A command line for Blackbox. Raises `BrokenRunError`."""
    command = script("blackbox")
    if command is None:
        raise BrokenRunError("blackbox is not installed in this environment")
    return [command, *arguments]


def free_port() -> int:
    """A TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port: int, started: subprocess.Popen[bytes]) -> None:
    """Returns when the process accepts connections. Raises `BrokenRunError` when it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        require_alive(started)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(POLL_SECONDS)
    raise BrokenRunError(f"nothing listens on port {port}")


def wait_for_sample(port: int, started: subprocess.Popen[bytes]) -> None:
    """Returns when Blackbox has its first sample. Raises `BrokenRunError` when it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        require_alive(started)
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1),
        ):
            return
        time.sleep(POLL_SECONDS)
    raise BrokenRunError(f"no sample on port {port}")


def require_alive(started: subprocess.Popen[bytes]) -> None:
    """Raises `BrokenRunError` when the process has ended."""
    if started.poll() is not None:
        raise BrokenRunError(f"{started.args} ended with {started.returncode}")


def in_turns(rounds: int, *sides: Callable[[], T]) -> list[list[T]]:
    """Runs every side once per round, so that drift of the machine meets all; one list of results per side."""
    results: list[list[T]] = [[] for _ in sides]
    for number in range(rounds):
        order = range(len(sides)) if number % 2 == 0 else reversed(range(len(sides)))
        for index in order:
            results[index].append(sides[index]())
    return results


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)
