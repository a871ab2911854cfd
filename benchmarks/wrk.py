"""wrk as the load for plain requests."""

import re
import shutil
import subprocess
from typing import NamedTuple

from benchmarks.harness import LOAD_CORE, BrokenRunError, PeerMissingError, cpu_seconds

CONNECTIONS = 50
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_TOTAL = re.compile(r"(\d+) requests in")
_P99 = re.compile(r"99%\s+([\d.]+)(us|ms|s)")
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_FAILED = re.compile(r"(Non-2xx or 3xx responses|Socket errors).*")


class Requests(NamedTuple):
    """What the server managed."""

    per_second: float
    cpu_microseconds: float
    """Of the server, per request: unlike the rate it does not depend on what else the machine does."""
    p99_milliseconds: float


def requests(port: int, path: str, seconds: float, server_pid: int) -> Requests:
    """One thread with 50 connections on its own core. Raises `PeerMissingError`; `BrokenRunError` when any failed."""
    if shutil.which("wrk") is None:
        raise PeerMissingError("wrk")
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--latency"]
    cpu = cpu_seconds(server_pid)
    done = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), *command, f"http://127.0.0.1:{port}{path}"],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=True,
    )
    cpu = cpu_seconds(server_pid) - cpu
    rate, p99, total = _RATE.search(done.stdout), _P99.search(done.stdout), _TOTAL.search(done.stdout)
    if rate is None or p99 is None or total is None or _FAILED.search(done.stdout):
        raise BrokenRunError(f"wrk on {path}: {done.stdout}")
    return Requests(float(rate[1]), cpu / int(total[1]) * 1e6, float(p99[1]) * _MILLISECONDS[p99[2]])
