"""What one client may cost: deadlines, sizes, malformed requests, too many connections."""

import os
import random
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.moments import device, sample
from tests.running_server import RunningServer
from tests.serving import QUICK, Raw, Serving
from tests.tools import tool
from tests.waiting import PATIENCE_SECONDS, until

GET = b"GET /vram?blocks=none HTTP/1.1\r\nHost: localhost\r\n\r\n"
MUTATIONS = 3000


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with Serving() as made:
        made.publish()
        yield made


@pytest.fixture(scope="module")
def quick() -> Iterator[Serving]:
    """A server with deadlines of less than a second."""
    with Serving(limits=QUICK) as made:
        made.publish()
        yield made


def drip(raw: Raw, piece: bytes) -> None:
    """Sends a byte at a time until the server has had enough."""
    with suppress(OSError):
        for _ in range(1000):
            raw.send(piece)
            time.sleep(0.02)
            raw.socket.setblocking(False)
            with suppress(BlockingIOError):
                if raw.socket.recv(1, socket.MSG_PEEK) or True:
                    return
            raw.socket.settimeout(PATIENCE_SECONDS)


def status_of(answer: bytes) -> int:
    """The status of the last answer in what the server sent before it closed."""
    return int(answer[answer.rindex(b"HTTP/1.1 ") :].split()[1])


@pytest.mark.fault(29)
@pytest.mark.parametrize("start", [b"G", b"GET /vram HTTP/1.1\r\n", b"GET /vram HTTP/1.1\r\nX: "])
def test_row_29_a_slow_head_is_cut_off(quick: Serving, start: bytes) -> None:
    with quick.connect() as raw:
        raw.send(start)
        drip(raw, b"a")
        raw.socket.settimeout(PATIENCE_SECONDS)
        assert status_of(raw.rest()) in (400, 408)


@pytest.mark.fault(29)
def test_row_29_a_slow_body_is_cut_off(quick: Serving) -> None:
    with quick.connect() as raw:
        raw.send(b"POST /vram HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n")
        drip(raw, b"a")
        raw.socket.settimeout(PATIENCE_SECONDS)
        answer = raw.rest()
        assert status_of(answer) == 408
        assert answer.endswith(b"request body took too long")


@pytest.mark.fault(29)
@pytest.mark.parametrize("before", [b"", GET, b"\r\n"])
def test_row_29_an_idle_socket_is_closed(quick: Serving, before: bytes) -> None:
    with quick.connect() as raw:
        raw.send(before)
        if before == GET:
            assert raw.reply().status == 200
        assert raw.rest() == b""


@pytest.mark.fault(29)
def test_row_29_others_are_served_meanwhile(quick: Serving) -> None:
    before = quick.server.stats.connections_expired_total
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(quick.connect()).send(b"GET /vram HTTP/1.1\r\nX")
            assert quick.ask("/vram").status == 200
        until(lambda: quick.server.stats.connections_expired_total >= before + 200)


def test_a_stream_is_not_idle(quick: Serving) -> None:
    with quick.connect() as raw:
        raw.request("/vram/stream?blocks=none")
        raw.until(b"\n\n")
        time.sleep(QUICK.idle_seconds + 2 * QUICK.sweep_seconds)
        seq = quick.publish()
        assert f"id: {seq}\n".encode() in raw.until(b"id: %d\n" % seq)


def test_a_client_that_reads_none_of_its_answer_is_dropped(quick: Serving) -> None:
    quick.publish(sample(device(index, name="x" * 10_000) for index in range(1000)))
    with quick.connect(receive_buffer=4096) as raw:
        before = quick.server.stats.connections_stalled_total
        raw.request("/vram")
        until(lambda: quick.server.stats.connections_stalled_total == before + 1)
        quick.publish()


@pytest.mark.fault(30)
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET /?" + b"a=b&" * 25_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(101)) + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n" + b"x" * 300_000, 413),
    ],
    ids=["url", "query", "header", "same-header-10000", "101-headers", "1-gb-body", "chunked-body"],
)
def test_row_30_what_is_oversized_is_refused_and_the_refusal_arrives(
    serving: Serving, request_bytes: bytes, status: int
) -> None:
    with serving.connect() as raw:
        with suppress(ConnectionError):
            raw.send(request_bytes)
        assert status_of(raw.rest()) == status
    assert serving.ask("/vram").status == 200


@pytest.mark.fault(30)
def test_row_30_a_huge_body_takes_no_memory(serving: Serving) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with serving.connect() as raw:
        raw.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n")
        piece = b"x" * 65536
        before = resident()
        with suppress(OSError):
            for _ in range(2000):
                raw.send(piece)
        assert resident() - before < 8 * 1024 * 1024


@pytest.mark.fault(31)
@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"junk\r\n\r\n",
        b"\x00\xff" * 50,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    ],
)
def test_row_31_malformed_requests_get_400_and_the_end(serving: Serving, request_bytes: bytes) -> None:
    with serving.connect() as raw:
        raw.send(request_bytes)
        answer = raw.rest()
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"\r\nConnection: close\r\n" in answer
        assert b"\r\nContent-Type: text/plain\r\n" in answer


@pytest.mark.fault(31)
def test_row_31_tls_on_a_plain_port_is_refused(serving: Serving) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", serving.port), PATIENCE_SECONDS) as plain,
        pytest.raises(ssl.SSLError, match=r"WRONG_VERSION_NUMBER|wrong version number|record layer failure"),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.fault(31)
def test_row_31_no_mutated_request_hangs_the_server_or_breaks_it(serving: Serving) -> None:
    """Each mutant is answered or closed in time; none with 5xx, and every connection is gone at the end."""
    chance = random.Random(31)
    seeds = [
        GET,
        b"HEAD /vram/stream HTTP/1.1\r\nHost: [::1]:80\r\nAccept-Encoding: gzip;q=0.5, zstd\r\n\r\n",
        b"POST /vram?gpu=0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        b'GET /%76ram HTTP/1.0\r\nConnection: keep-alive\r\nIf-None-Match: W/"a"\r\n\r\n',
        b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n",
        b"GET http://localhost/metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nCookie: a=b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nAuthorization: Basic eA==\r\n\r\n",
        GET * 5,
    ]
    for number in range(MUTATIONS):
        data = mutant(chance, seeds)
        with serving.connect() as raw:
            raw.socket.settimeout(PATIENCE_SECONDS)
            with suppress(ConnectionError):
                raw.send(data)
                raw.socket.shutdown(socket.SHUT_WR)
            answer = raw.rest()
        statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]
        assert all(status < 500 for status in statuses), (number, data, answer)
    until(lambda: serving.server.stats.connections_open == 0)
    assert serving.server.stats.errors_total == 0


def mutant(chance: random.Random, seeds: list[bytes]) -> bytes:
    """A request with a few bytes changed, cut out, doubled, or taken from another."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        size = chance.choice([1, 1, 2, 5, 20])
        match chance.randrange(5):
            case 0:
                data[at : at + size] = chance.randbytes(size)
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = data[at : at + size] * chance.choice([1, 2, 50])
            case 3:
                data[at:at] = chance.choice([b"\r\n", b"\0", b":", b" ", b"\r", b"\n", b"%", b"Content-Length: 7\r\n"])
            case _:
                other = chance.choice(seeds)
                data[at:] = other[chance.randrange(len(other)) :]
    return bytes(data)


def test_more_pipelined_requests_than_allowed_end_the_connection(serving: Serving) -> None:
    with serving.connect() as raw:
        raw.send(GET * 1000)
        answers = raw.rest()
    assert 1 <= answers.count(b"HTTP/1.1 200 OK") < 1000
    assert b"HTTP/1.1 4" not in answers


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
def test_an_upgrade_is_not_taken_up(serving: Serving, upgrade: str) -> None:
    with serving.connect() as raw:
        raw.request("/readyz", connection="Upgrade", upgrade=upgrade, sec_websocket_version="13")
        reply = raw.reply()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert raw.rest() == b""


def test_a_tunnel_is_not_opened(serving: Serving) -> None:
    with serving.connect() as raw:
        raw.send(b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert status_of(raw.rest()) in (400, 404, 405)


class Pinched(RunningServer):
    """A server with a limit on its open files."""

    def __init__(self, home: Path, files: int) -> None:
        super().__init__(home, "--demo")
        self._prlimit = tool("prlimit", "util-linux")
        self._command = [self._prlimit, f"--nofile={files}:{files}", *self._command]

    def lower(self, files: int) -> None:
        """Sets the soft limit while it runs."""
        command = [self._prlimit, "--pid", str(self.pid), f"--nofile={files}:"]
        subprocess.run(command, check=True, timeout=PATIENCE_SECONDS)


@pytest.mark.fault(28)
def test_row_28_with_few_file_descriptors_the_last_ones_are_kept(tmp_path: Path) -> None:
    """64 of them: those over the cap are told so or closed, no core burns, and it recovers."""
    with Pinched(tmp_path, 64) as server, ExitStack() as stack:
        opened = [stack.enter_context(Raw.tcp(server.port)) for _ in range(150)]
        until(lambda: refused(opened) > 0)
        before = cpu_seconds(server.pid)
        time.sleep(1.0)
        assert cpu_seconds(server.pid) - before < 0.5
        for raw in opened:
            raw.socket.close()
        until(lambda: answers(server.port))
        assert server.stop() == 0
        assert "Too many open files" not in server.log
        assert "Traceback" not in server.log


@pytest.mark.fault(28)
def test_row_28_without_any_file_descriptor_left_no_core_burns_and_it_recovers(tmp_path: Path) -> None:
    """The limit falls below the cap that was counted from it: accepting fails."""
    with Pinched(tmp_path, 1024) as server, ExitStack() as stack:
        server.lower(40)
        for _ in range(100):
            stack.enter_context(Raw.tcp(server.port))
        before = cpu_seconds(server.pid)
        time.sleep(2.0)
        assert cpu_seconds(server.pid) - before < 1.2, "a loop that spins burns two seconds"
        server.lower(1024)
        stack.close()
        until(lambda: answers(server.port))
        assert server.stop(signal.SIGTERM) == 0


def refused(opened: list[Raw]) -> int:
    """How many were told that there are too many."""
    count = 0
    for raw in opened:
        raw.socket.setblocking(False)
        with suppress(BlockingIOError, ConnectionError):
            count += b"503 Service Unavailable" in raw.socket.recv(100, socket.MSG_PEEK)
    return count


def answers(port: int) -> bool:
    with suppress(OSError, EOFError), Raw.tcp(port) as raw:
        raw.request("/readyz")
        return raw.reply().status == 200
    return False


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
