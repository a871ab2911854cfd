"""Clients that take nothing of a stream, or next to nothing: do others wait for the server, and does it grow?"""

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.fake_machine import fake_machine
from benchmarks.harness import MIB, blackbox, cpu_seconds, free_port, memory, process, require_alive, wait_for_sample
from benchmarks.plan import Benchmark, Plan, Row

GPUS, PROCESSES = 8, 32
HISTORY_SECONDS = 65.0
"""Until the minute that a resumed stream can be sent is full."""
SECONDS_MIN = 40.0
"""Of each load: longer than a client may stall, so that who trickles has been ended by then."""
RECEIVE_BYTES = 4096
TRICKLE_BYTES = 256
ASK_SECONDS = 0.25
ANSWER_SECONDS_MAX = 30.0
ANSWER_MS_TARGET = 500.0
GROWTH_MIB_TARGET = 60.0
RESUMING, PLAIN, TRICKLING = 100, 1_000, 20


class Clients(NamedTuple):
    """A kind of client, and how many of them."""

    name: str
    number: int
    fields: str = ""
    trickle: bool = False
    """Each takes `TRICKLE_BYTES` a second; the others take nothing."""


KINDS = (
    Clients(f"{RESUMING} that resume and never read", RESUMING, "Last-Event-ID: 1\r\n"),
    Clients(f"{PLAIN:,} that never read", PLAIN),
    Clients(f"{TRICKLING} that trickle", TRICKLING, "Last-Event-ID: 1\r\n", trickle=True),
)


class Met(NamedTuple):
    """What was seen beside a kind of client."""

    answers_ms: list[float]
    """Of `GET /readyz`, each on a connection of its own."""
    growth_bytes: int
    """Most memory of the server and its children, beyond that before."""
    waiting_bytes: int
    """Most that waited for clients, as the server counts it."""
    ended: int
    """Clients that the server ended."""
    seconds: float
    arrival_cpu_seconds: float
    """CPU time of the server from the first of the clients to its first answer with all of them there: what that answer
    takes on a machine that has nothing else to do."""


def run(plan: Plan) -> list[Row]:
    """One server for each kind, so that none stands on what another left."""
    seconds = max(plan.seconds, SECONDS_MIN)
    with fake_machine(GPUS, PROCESSES) as machine:
        return [row for clients in KINDS for row in _rows(clients, _met(clients, seconds, machine.environment))]


def _met(clients: Clients, seconds: float, environment: dict[str, str]) -> Met:
    port = free_port()
    with process(blackbox("serve", str(port), "--no-record"), None, environment) as server:
        wait_for_sample(port, server)
        time.sleep(HISTORY_SECONDS)
        before = memory(server.pid).rss
        answers: list[float] = []
        growth = waiting = ended = 0
        arrival, cpu = None, cpu_seconds(server.pid)
        with _connected(clients, port) as sockets, _trickling(sockets if clients.trickle else []):
            ends_at = time.monotonic() + seconds
            while time.monotonic() < ends_at:
                require_alive(server)
                answers.append(_ask_ms(port))
                arrival = cpu_seconds(server.pid) - cpu if arrival is None else arrival
                growth = max(growth, memory(server.pid).rss - before)
                counted, ended = _counted(port)
                waiting = max(waiting, counted)
                time.sleep(ASK_SECONDS)
        return Met(answers, growth, waiting, ended, seconds, arrival or 0.0)


@contextlib.contextmanager
def _connected(clients: Clients, port: int) -> Iterator[list[socket.socket]]:
    request = f"GET /vram/stream HTTP/1.1\r\nHost: localhost\r\n{clients.fields}\r\n".encode()
    with contextlib.ExitStack() as stack:
        found: list[socket.socket] = []
        for _ in range(clients.number):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            one.connect(("127.0.0.1", port))
            one.sendall(request)
            found.append(one)
        yield found


@contextlib.contextmanager
def _trickling(sockets: list[socket.socket]) -> Iterator[None]:
    """Takes a little of each every second, while the context lasts."""
    stopping = threading.Event()

    def trickle() -> None:
        while not stopping.wait(1.0):
            for one in sockets:
                with contextlib.suppress(OSError):
                    one.recv(TRICKLE_BYTES, socket.MSG_DONTWAIT)

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _ask_ms(port: int) -> float:
    began = time.monotonic()
    _get(port, "/readyz")
    return (time.monotonic() - began) * 1e3


def _counted(port: int) -> tuple[int, int]:
    """Bytes that wait for clients, and clients ended for them."""
    lines = (line.split() for line in _get(port, "/metrics").decode().splitlines() if line.startswith("blackbox_http_"))
    found = {line[0]: int(float(line[1])) for line in lines if len(line) == 2}
    ended = ("blackbox_http_connections_stalled_total", "blackbox_http_connections_ended_for_room_total")
    return found["blackbox_http_waiting_bytes"], sum(found[name] for name in ended)


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def _rows(clients: Clients, met: Met) -> list[Row]:
    slowest, growth = max(met.answers_ms), met.growth_bytes / MIB
    middle = sorted(met.answers_ms)[len(met.answers_ms) // 2]
    return [
        Row(
            figure=f"{clients.name}: slowest `/readyz` meanwhile", unit="ms", ours=slowest,
            target=f"<= {ANSWER_MS_TARGET:g}", met=slowest <= ANSWER_MS_TARGET,
            note=f"median {middle:.1f} of {len(met.answers_ms)} within {met.seconds:g} s; the server took"
            f" {met.arrival_cpu_seconds * 1e3:.0f} ms of CPU from the first client to its first answer",
        ),
        Row(
            figure=f"{clients.name}: memory", unit="MiB RSS", ours=growth,
            target=f"<= {GROWTH_MIB_TARGET:g} more", met=growth <= GROWTH_MIB_TARGET,
            note=f"server and driver process; {met.waiting_bytes / MIB:.1f} MiB waited at most;"
            f" {met.ended} of {clients.number} clients were ended by the server",
        ),
    ]  # fmt: skip


BENCHMARK = Benchmark(
    "silent_clients",
    f"Streams whose clients take nothing, or {TRICKLE_BYTES} bytes a second, on {GPUS} GPUs x {PROCESSES} processes"
    " with a minute of kept moments; what others wait for `/readyz`, and what the server grows by.",
    run,
)
