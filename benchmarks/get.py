"""`GET /vram`, small and with 14,401 blocks, beside nginx serving the same bytes from a file."""

import urllib.request

from benchmarks import nginx
from benchmarks.encode import BLOCKS, PAGES
from benchmarks.harness import SERVER_CORE, BrokenRunError, free_port, in_turns, median, process, python, wait_for_port
from benchmarks.plan import Benchmark, Plan, Row
from benchmarks.wrk import CONNECTIONS, Requests, requests

SMALL_RATIO_MIN = 0.25
LARGE_RATIO_MIN = 1.0


def run(plan: Plan) -> list[Row]:
    """Requests per second, each server on one core, and what each request costs."""
    small = _rows(plan, "one idle GPU", processes=0, pages=0, ratio_min=SMALL_RATIO_MIN)
    large = _rows(plan, f"{BLOCKS:,} blocks", processes=1, pages=PAGES, ratio_min=LARGE_RATIO_MIN)
    return small + large


def _rows(plan: Plan, what: str, processes: int, pages: int, ratio_min: float) -> list[Row]:
    port = free_port()
    server = python("-m", "benchmarks.serve_frames", str(port), "1", str(processes), str(pages), "0.5")
    with process(server, SERVER_CORE) as started:
        wait_for_port(port, started)
        body = _body(port)
        if pages and body.count(b'"block_id"') != BLOCKS:
            raise BrokenRunError("the answer lacks the blocks")
        with nginx.serving({"vram": body}, sendfile=pages > 0) as peer:
            ours, theirs = in_turns(
                plan.rounds,
                lambda: requests(port, "/vram", plan.seconds, started.pid),
                lambda: requests(peer.port, "/vram", plan.seconds, peer.pid),
            )
    rate, peer_rate = _median(ours, "per_second"), _median(theirs, "per_second")
    p99, peer_p99 = _median(ours, "p99_milliseconds"), _median(theirs, "p99_milliseconds")
    peer_name = "nginx, the same bytes from a file"
    return [
        Row(
            figure=f"GET /vram, {what}", unit="requests/s", ours=rate, peer=peer_name, theirs=peer_rate,
            target=f"≥ {ratio_min:g} ×", met=rate >= ratio_min * peer_rate,
            note=f"{len(body):,} bytes; {CONNECTIONS} connections; p99 {p99:.1f} ms, nginx {peer_p99:.1f} ms",
        ),
        Row(
            figure=f"GET /vram, {what}: CPU of the server", unit="µs per request",
            ours=_median(ours, "cpu_microseconds"), peer=peer_name, theirs=_median(theirs, "cpu_microseconds"),
        ),
    ]  # fmt: skip


def _body(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/vram", timeout=10) as answer:
        return answer.read()


def _median(rounds: list[Requests], key: str) -> float:
    return median([getattr(one, key) for one in rounds])


BENCHMARK = Benchmark("get", "`GET /vram`, the server on one core and wrk on the other.", run)
