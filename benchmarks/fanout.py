"""Event streams to thousands of clients, beside nginx' nchan module sending frames of the same size."""

import contextlib
import time
import urllib.request
from collections.abc import Iterator
from functools import partial

from benchmarks import nginx
from benchmarks.crowd import deliver
from benchmarks.fake_machine import fake_machine
from benchmarks.harness import (
    MIB,
    SERVER_CORE,
    SETTLE_SECONDS,
    PeerMissingError,
    blackbox,
    free_port,
    in_turns,
    median,
    process,
    wait_for_sample,
)
from benchmarks.load import Delivery, Load
from benchmarks.plan import Benchmark, Plan, Row

INTERVAL = 0.5
LONG = ((2_000, 60.0), (10_000, 20.0))
"""Clients and seconds of the sizes that take minutes."""
FRAMES_MIN = 1.95
RSS_MIB_MAX = 150


def run(plan: Plan) -> list[Row]:
    """CPU per delivered event, frames per client, and memory."""
    with fake_machine(1, 0) as machine:
        rows = _rows(plan.rounds, 1_000, plan.seconds, machine.environment)
        for clients, seconds in LONG if plan.long else ():
            rows += _rows(1, clients, seconds, machine.environment)
    return rows


def _rows(rounds: int, clients: int, seconds: float, environment: dict[str, str]) -> list[Row]:
    body_bytes = _body_bytes(environment)
    results = in_turns(
        rounds,
        partial(_ours, clients, seconds, environment),
        partial(_nchan, clients, seconds, body_bytes),
    )
    ours, theirs = results[0], [one for one in results[1] if one is not None]
    peer = "nginx + nchan" if theirs else "peer not installed: nginx + nchan"
    cpu, peer_cpu = _median(ours, "cpu_microseconds"), _median(theirs, "cpu_microseconds")
    frames, peer_frames = _median(ours, "frames_per_second"), _median(theirs, "frames_per_second")
    rss, peer_rss = _median(ours, "server_rss"), _median(theirs, "server_rss")
    assert cpu is not None
    assert frames is not None
    assert rss is not None
    accounted = all(one.accounted for one in ours)
    if not all(one.accounted for one in theirs):
        peer += ", losing events"
    lost, told, broken = (sum(getattr(one, key) for one in ours) for key in ("lost", "told", "broken"))
    streams = f"{clients:,} streams"
    return [
        Row(
            figure=f"{streams}: CPU per delivered event", unit="µs", ours=cpu, peer=peer, theirs=peer_cpu,
            target="≤ 1 ×", met=None if peer_cpu is None else cpu <= peer_cpu and accounted,
            note=f"events of {ours[0].event_bytes:,} bytes, sampling counted; nchan the same body",
        ),
        Row(
            figure=f"{streams}: frames per client per second", unit="1/s", ours=frames, peer=peer, theirs=peer_frames,
            target=f"≥ {FRAMES_MIN}", met=frames >= FRAMES_MIN and accounted,
            note=f"{lost} missed, {told} of them told, {broken} connections lost in "
            f"{sum(one.events for one in ours):,} events over {sum(one.seconds for one in ours):.0f} s",
        ),
        Row(
            figure=f"{streams}: memory", unit="MiB RSS", ours=rss / MIB, peer=peer,
            theirs=None if peer_rss is None else peer_rss / MIB,
            target=f"≤ {RSS_MIB_MAX}", met=rss <= RSS_MIB_MAX * MIB,
            note=f"server and source child; PSS {(_median(ours, 'server_pss') or 0) / MIB:.0f} MiB",
        ),
    ]  # fmt: skip


@contextlib.contextmanager
def _serving(environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    port = free_port()
    with process(blackbox("serve", str(port)), SERVER_CORE, environment) as started:
        wait_for_sample(port, started)
        time.sleep(SETTLE_SECONDS)
        yield port, started.pid


def _body_bytes(environment: dict[str, str]) -> int:
    with (
        _serving(environment) as (port, _),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/vram/stream", timeout=10) as stream,
    ):
        data = next(line for line in stream if line.startswith(b"data:"))
    return len(data) - len(b"data: \n")


def _ours(clients: int, seconds: float, environment: dict[str, str]) -> Delivery:
    with _serving(environment) as (port, pid):
        return deliver(Load(port=port, path="/vram/stream", clients=clients, seconds=seconds, server_pid=pid))


def _nchan(clients: int, seconds: float, body_bytes: int) -> Delivery | None:
    try:
        with nginx.serving({}, nchan=True) as peer, nginx.publishing(peer.port, body_bytes, INTERVAL):
            return deliver(
                Load(
                    port=peer.port,
                    path="/stream",
                    clients=clients,
                    seconds=seconds,
                    server_pid=peer.pid,
                    seq_pattern=nginx.NCHAN_SEQ_PATTERN,
                )
            )
    except PeerMissingError:
        return None


def _median(deliveries: list[Delivery], key: str) -> float | None:
    return median([getattr(one, key) for one in deliveries]) if deliveries else None


BENCHMARK = Benchmark(
    "fanout", "Thousands of event streams at 2 Hz, every client checked for every event number it got.", run
)
