"""Requests over kept connections, each of which asks again once it has its answer; the server's CPU for each.

Run as a program: `python -m benchmarks.against_today.requester PORT CONNECTIONS SECONDS PID`.
"""

import json
import resource
import select
import socket
import subprocess
import sys
import time

from benchmarks.harness import ROOT, BrokenRunError, cpu_seconds, python

REQUEST = b"GET /vram HTTP/1.1\r\nHost: localhost\r\nUser-Agent: benchmark\r\nAccept: */*\r\n\r\n"
READ_BYTES = 1 << 16
WARM_SECONDS = 1.0
EXTRA_SECONDS_MAX = 60.0


def ask(port: int, connections: int, seconds: float, server_pid: int, core: int) -> float:
    """CPU microseconds of the server per request, the load on a core of its own. Raises `BrokenRunError`."""
    command = python("-m", "benchmarks.against_today.requester", *map(str, (port, connections, seconds, server_pid)))
    try:
        done = subprocess.run(
            ["taskset", "-c", str(core), *map(str, command)],
            cwd=ROOT,
            capture_output=True,
            check=True,
            timeout=seconds + EXTRA_SECONDS_MAX,
        )
    except subprocess.SubprocessError as error:
        raise BrokenRunError(f"requests to port {port}: {error}") from error
    return float(json.loads(done.stdout))


def main() -> None:
    """Prints the microseconds."""
    port, connections, seconds, server_pid = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    poller = select.epoll()
    opened = {}
    for _ in range(connections):
        one = socket.create_connection(("127.0.0.1", port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened[one.fileno()] = one
        poller.register(one.fileno(), select.EPOLLIN)
        one.send(REQUEST)
    lengths: dict[int, int] = {}
    _rounds(poller, opened, lengths, WARM_SECONDS)
    cpu = cpu_seconds(server_pid)
    answers = _rounds(poller, opened, lengths, seconds)
    print((cpu_seconds(server_pid) - cpu) / answers * 1e6)


def _rounds(poller: select.epoll, opened: dict[int, socket.socket], lengths: dict[int, int], seconds: float) -> int:
    """Whole answers within the time. `lengths`: bytes of an answer that are still to come, by connection."""
    answers = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for number, _ in poller.poll(1.0):
            one = opened[number]
            data = one.recv(READ_BYTES)
            if not data:
                raise SystemExit("a connection was closed")
            left = lengths.get(number, 0) or _length(data)
            lengths[number] = left - len(data)
            if left == len(data):
                answers += 1
                one.send(REQUEST)
    return answers


def _length(data: bytes) -> int:
    """Bytes of the whole answer, of which its first bytes are given."""
    head, found, _ = data.partition(b"\r\n\r\n")
    if not found or not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"no answer: {data[:200]!r}")
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    return len(head) + len(found) + int(length)


if __name__ == "__main__":
    main()
