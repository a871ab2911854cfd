"""The HTTP libraries Blackbox could stand on: the same 1 KB frame from a minimal server on each."""

import contextlib
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from benchmarks import nginx
from benchmarks.crowd import deliver
from benchmarks.harness import MIB, SERVER_CORE, free_port, in_turns, median, process, python, wait_for_port
from benchmarks.load import Load
from benchmarks.plan import Benchmark, Plan, Row
from benchmarks.wrk import requests

BODY_BYTES = 1024
INTERVAL = 0.5
CLIENTS = 1_000
LONG_CLIENTS = 10_000
CANDIDATES = {
    "httptools_protocol": ("httptools", "httptools + uvloop, a Protocol"),
    "aiohttp_transport": ("aiohttp", "aiohttp, writing to request.transport"),
    "uvicorn_asgi": ("uvicorn", "uvicorn, a coroutine per client"),
    "granian_rsgi": ("granian", "granian RSGI, a coroutine per client"),
}
"""Module of `benchmarks.candidates` -> the package it needs, and what the table calls it."""


class Figures(NamedTuple):
    """Of one server in one round."""

    cpu_microseconds: float
    frames_per_second: float
    rss: int
    requests_per_second: float
    request_cpu_microseconds: float


def run(plan: Plan) -> list[Row]:
    """Fan-out and GET of every candidate installed, nginx beside them."""
    rows = _rows(plan.rounds, CLIENTS, plan.seconds)
    return rows + _rows(1, LONG_CLIENTS, 10.0) if plan.long else rows


def _rows(rounds: int, clients: int, seconds: float) -> list[Row]:
    installed = {name: label for name, (package, label) in CANDIDATES.items() if find_spec(package)}
    results = in_turns(
        rounds,
        partial(_nginx, clients, seconds),
        *(partial(_candidate, name, clients, seconds) for name in installed),
    )
    peer, *ours = (Figures(*(median(list(values)) for values in zip(*rounds_of, strict=True))) for rounds_of in results)
    rows: list[Row] = []
    for label, figures in zip(installed.values(), ours, strict=True):
        rows += [
            Row(
                figure=f"{label}: {clients:,} streams", unit="µs CPU per event",
                ours=figures.cpu_microseconds, peer="nginx + nchan", theirs=peer.cpu_microseconds,
                note=f"{figures.frames_per_second:.2f} frames per client per second; RSS {figures.rss / MIB:.0f} MiB, "
                f"nchan {peer.rss / MIB:.0f}",
            ),
            Row(
                figure=f"{label}: GET 1 KB", unit="requests/s",
                ours=figures.requests_per_second, peer="nginx, a file", theirs=peer.requests_per_second,
                note=f"{figures.request_cpu_microseconds:.0f} µs CPU per request, "
                f"nginx {peer.request_cpu_microseconds:.0f}",
            ),
        ]  # fmt: skip
    absent = [f"peer not installed: {package}" for name, (package, _) in CANDIDATES.items() if name not in installed]
    return rows + [Row(figure=missing, unit="", note="pip install --group bench") for missing in absent]


def _candidate(name: str, clients: int, seconds: float) -> Figures:
    with _body() as body:
        port = free_port()
        server = python("-m", f"benchmarks.candidates.{name}", str(port), body, str(INTERVAL))
        with process(server, SERVER_CORE) as started:
            wait_for_port(port, started)
            load = Load(port=port, path="/stream", clients=clients, seconds=seconds, server_pid=started.pid)
            return _figures(load, "/frame")


def _nginx(clients: int, seconds: float) -> Figures:
    files = {"frame": nginx.numbered(0, BODY_BYTES)}
    with nginx.serving(files, nchan=True) as peer, nginx.publishing(peer.port, BODY_BYTES, INTERVAL):
        load = Load(
            port=peer.port,
            path="/stream",
            clients=clients,
            seconds=seconds,
            server_pid=peer.pid,
            seq_pattern=nginx.NCHAN_SEQ_PATTERN,
        )
        return _figures(load, "/frame")


def _figures(load: Load, path: str) -> Figures:
    answered = requests(load.port, path, load.seconds / 2, load.server_pid)
    got = deliver(load)
    return Figures(
        cpu_microseconds=got.cpu_microseconds,
        frames_per_second=got.frames_per_second,
        rss=got.server_rss,
        requests_per_second=answered.per_second,
        request_cpu_microseconds=answered.cpu_microseconds,
    )


@contextlib.contextmanager
def _body() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="blackbox-bench-") as folder:
        body = Path(folder) / "body"
        body.write_bytes(nginx.numbered(0, BODY_BYTES))
        yield body


BENCHMARK = Benchmark(
    "http_libraries",
    f"Minimal servers on each HTTP library: {BODY_BYTES:,}-byte frames at 2 Hz, and the same bytes by GET.",
    run,
)
