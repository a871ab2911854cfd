"""What clients that do not read may cost: bytes held for them are shared, counted in one budget, and bounded."""

import gc
import os
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from blackbox.model.query import History, Series
from blackbox.recorder import Recording
from blackbox.server import Limits
from blackbox.server.http.outbox import TLS_UNTAKEN_BYTES
from blackbox.settings import Settings
from tests.certificates import make_certificate
from tests.moments import device, sample
from tests.running_server import TRUSTING
from tests.serving import QUICK, Raw, Serving
from tests.waiting import until

MIB = 1024 * 1024
PAGE = os.sysconf("SC_PAGE_SIZE")
RESUMING, SILENT, ENCRYPTED, HUNGRY, TRICKLING = 60, 400, 60, 20, 20
ANSWER_BYTES = 8 * MIB
MOMENTS = 40
GROWTH_MAX = 60 * MIB
"""Promised; what was there before took hundreds of MiB."""
SMALL_BUFFER = 4096
CROWD = 200


def rss() -> int:
    """Memory of this process, in which the server runs."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def noise(size: int) -> str:
    """Text that does not shrink."""
    return random.Random(size).randbytes(size // 2).hex()


@contextmanager
def silent(serving: Serving, count: int, path: str, **headers: str) -> Iterator[list[Raw]]:
    """Clients that ask and never read."""
    with ExitStack() as stack:
        clients = [stack.enter_context(serving.connect(SMALL_BUFFER)) for _ in range(count)]
        for raw in clients:
            raw.request(path, **headers)
        yield clients


def machine(gpus: int, name_bytes: int) -> Any:
    """A sample whose snapshot is about so large."""
    return sample(device(index, name=noise(name_bytes)) for index in range(gpus))


@pytest.mark.fault(44)
def test_row_44_clients_that_resume_and_never_read_share_what_waits_for_them() -> None:
    """The kept moments are some 13 MiB: a copy for each would be 800."""
    with Serving() as serving:
        big = machine(32, 10_000)
        serving.publish(big)
        for _ in range(MOMENTS):
            serving.publish(big)
            serving.ask("/vram")
        before = rss()
        stats = serving.server.stats
        with silent(serving, RESUMING, "/vram/stream", last_event_id="1", accept_encoding="identity") as clients:
            until(lambda: stats.streams_open == RESUMING)
            for _ in range(4):
                serving.publish(big)
                assert serving.ask("/readyz").status == 200
                assert serving.ask("/vram").status == 200
            assert stats.waiting_bytes <= Limits().waiting_bytes
            assert rss() - before <= GROWTH_MAX
            seen = 1
            while seen < MOMENTS + 1:
                head, _, rest = clients[0].until(b"\n").partition(b": ")
                if head == b"id":
                    assert int(rest) == seen + 1
                    seen = int(rest)
        until(lambda: stats.streams_open == 0 and stats.waiting_bytes == 0)


@pytest.mark.fault(44)
def test_row_44_a_client_that_trickles_is_ended_though_it_makes_progress() -> None:
    limits = structs.replace(QUICK, stall_seconds=1.0, waiting_rate_bytes=1024 * MIB)
    with Serving(limits=limits) as serving:
        serving.publish(machine(100, 100_000))
        with silent(serving, TRICKLING, "/vram", accept_encoding="identity") as clients:

            def all_are_ended() -> bool:
                for raw in clients:
                    with suppress(ConnectionResetError):
                        raw.socket.recv(100)
                return serving.server.stats.connections_stalled_total == TRICKLING

            until(all_are_ended)
        until(lambda: serving.server.stats.waiting_bytes == 0)


@pytest.mark.fault(45)
def test_row_45_clients_that_never_read_a_stream_share_its_frame() -> None:
    with Serving() as serving:
        big = machine(100, 40_000)
        serving.publish(big)
        before = rss()
        stats = serving.server.stats
        with silent(serving, SILENT, "/vram/stream", accept_encoding="identity"):
            until(lambda: stats.streams_open == SILENT and stats.waiting_bytes > 0)
            for _ in range(5):
                serving.publish(big)
                assert serving.ask("/vram").status == 200
            assert stats.streams_open == SILENT, "none is ended for what it shares"
            assert rss() - before <= GROWTH_MAX
        until(lambda: stats.streams_open == 0 and stats.waiting_bytes == 0)


@pytest.mark.fault(45)
def test_row_45_frames_of_different_moments_that_wait_are_bounded_too() -> None:
    """Each client hangs on another moment's frame: the slowest are ended, and who comes next is served."""
    limits = Limits(waiting_bytes=8 * MIB)
    with Serving(limits=limits) as serving:
        stats = serving.server.stats
        with ExitStack() as stack:
            for number in range(12):
                serving.publish(machine(100, 40_000 + number))
                raw = stack.enter_context(serving.connect(SMALL_BUFFER))
                raw.request("/vram/stream", accept_encoding="identity")
                until(lambda number=number: stats.streams_total == number + 1)
                serving.call(lambda: None)
                assert stats.waiting_bytes <= limits.waiting_bytes
            until(lambda: stats.connections_ended_for_room_total > 0)
            assert serving.ask("/vram").status == 200
        until(lambda: stats.waiting_bytes == 0)


@contextmanager
def held_up(serving: Serving) -> Iterator[None]:
    """The server does nothing meanwhile; then it finds at once all who came."""
    go_on = threading.Event()
    serving.post(go_on.wait)
    try:
        yield
    finally:
        go_on.set()


@pytest.mark.fault(45)
@pytest.mark.parametrize("path", ["/vram/stream", "/vram"])
def test_row_45_who_asks_for_little_behind_a_crowd_is_answered_before_the_crowd_has_its_frames(path: str) -> None:
    """Behind all of them in the kernel's queue. It waits until each has been accepted, not until each has been sent
    its first frame."""
    with Serving() as serving, ExitStack() as stack:
        serving.publish(machine(60, 5_000))
        serving.ask("/vram")  # it is made once
        pool = serving.server._connections  # pyright: ignore[reportPrivateUsage]
        left: list[int] = []
        served = serving.server.stats.requests_total
        with held_up(serving):
            for _ in range(CROWD):
                stack.enter_context(serving.connect(SMALL_BUFFER)).request(path, accept_encoding="identity")
            last = stack.enter_context(serving.connect())
            last.request("/livez")

            def watch() -> None:
                if served["/livez", 200]:
                    left.append(pool.scheduler.waiting)
                else:
                    serving.post(watch)

            serving.post(watch)
        assert last.reply().status == 200
        until(lambda: bool(left))
        assert left[0] > CROWD / 2
        until(lambda: pool.scheduler.waiting == 0)
        assert served[path, 200] >= CROWD


@pytest.mark.fault(45)
@pytest.mark.parametrize("path", ["/vram/stream", "/vram"])
def test_row_45_each_of_a_crowd_gets_all_of_its_answer(path: str) -> None:
    """Those that had to wait for their turn, too; half of them leave before it."""
    with Serving() as serving, ExitStack() as stack:
        serving.publish(machine(60, 5_000))
        body = serving.ask("/vram").body
        with held_up(serving):
            clients = [stack.enter_context(serving.connect()) for _ in range(CROWD)]
            for raw in clients:
                raw.request(path, accept_encoding="identity", connection="close")
            for raw in clients[::2]:
                raw.socket.close()
        for raw in clients[1::2]:
            if path == "/vram":
                assert raw.reply().body == body
            else:
                raw.until(b"data: ")
                assert raw.until(b"\n") == body + b"\n"
        for raw in clients:
            raw.socket.close()
        until(lambda: serving.server.stats.streams_open == 0 and serving.server.stats.waiting_bytes == 0)


@pytest.mark.fault(45)
def test_row_45_over_tls_a_crowd_takes_turns_too(tmp_path: Path) -> None:
    files = make_certificate(tmp_path, "localhost")
    with Serving(Settings(port=0, tls_cert=files.cert_file, tls_key=files.key_file)) as serving, ExitStack() as stack:
        serving.publish(machine(60, 5_000))
        clients = [stack.enter_context(serving.connect()) for _ in range(ENCRYPTED)]
        for raw in clients:
            raw.socket = stack.enter_context(TRUSTING.wrap_socket(raw.socket, server_hostname="localhost"))
        with held_up(serving):
            for raw in clients:
                raw.request("/vram", accept_encoding="identity")
        bodies = {raw.reply().body for raw in clients}
        assert len(bodies) == 1
        assert len(bodies.pop()) > 60 * 5_000
        until(lambda: serving.server.stats.waiting_bytes == 0)


@pytest.mark.fault(45)
def test_row_45_over_tls_each_has_some_records_and_no_frame(tmp_path: Path) -> None:
    """What is encrypted is one client's alone, so it is encrypted as the client takes it."""
    files = make_certificate(tmp_path, "localhost")
    with Serving(Settings(port=0, tls_cert=files.cert_file, tls_key=files.key_file)) as serving:
        big = machine(100, 60_000)
        serving.publish(big)
        stats = serving.server.stats
        with ExitStack() as stack:
            before = rss()
            for number in range(ENCRYPTED):
                raw = stack.enter_context(serving.connect(SMALL_BUFFER))
                raw.socket = stack.enter_context(TRUSTING.wrap_socket(raw.socket, server_hostname="localhost"))
                raw.request("/vram/stream", accept_encoding="identity")
                until(lambda number=number: stats.streams_open == number + 1)
            until(lambda: stats.waiting_bytes > ENCRYPTED * TLS_UNTAKEN_BYTES)
            serving.publish(big)
            serving.call(lambda: None)
            assert rss() - before <= GROWTH_MAX
        until(lambda: stats.streams_open == 0 and stats.waiting_bytes == 0)


class Large(Recording):
    """A recording that has a lot to tell."""

    def history(self, since: float, until: float, **_options: Any) -> History:
        """Some megabytes, which are this answer's alone."""
        name = noise(ANSWER_BYTES)
        series = Series(
            gpu=None, pid=None, metric="used_bytes", points=[], gpu_uuid=None, name=name, start_time=None, engine=None
        )
        return History(from_=since, to=until, step_seconds=1, series=(series,), series_omitted=0)


@pytest.mark.fault(57)
def test_row_57_large_answers_to_clients_that_never_read_are_bounded_and_others_get_theirs(tmp_path: Path) -> None:
    with Serving(recording=Large(tmp_path)) as serving:
        serving.publish()
        stats = serving.server.stats
        before = rss()
        with ExitStack() as stack:
            for number in range(HUNGRY):
                raw = stack.enter_context(serving.connect(SMALL_BUFFER))
                raw.request("/vram/history", accept_encoding="identity")
                until(lambda number=number: stats.requests_total["/vram/history", 200] + refused(serving) == number + 1)
                assert serving.call(lambda: stats.waiting_bytes) <= Limits().waiting_bytes
            assert rss() - before <= GROWTH_MAX
            until(lambda: served(serving))
            assert serving.ask("/vram").status == 200
        until(lambda: stats.waiting_bytes == 0)
        assert stats.connections_ended_for_room_total > 0


@pytest.mark.fault(57)
def test_row_57_a_large_answer_there_is_no_room_for_is_told_to_come_back(tmp_path: Path) -> None:
    """Whoever has just begun to read is not ended for it."""
    with Serving(recording=Large(tmp_path), limits=Limits(waiting_bytes=ANSWER_BYTES)) as serving:
        serving.publish()
        with serving.connect(SMALL_BUFFER) as first:
            first.request("/vram/history", accept_encoding="identity")
            until(lambda: serving.server.stats.waiting_bytes > 0)
            reply = serving.ask("/vram/history", accept_encoding="identity")
            assert (reply.status, reply.headers.get("retry-after")) in ((503, "5"), (200, None))
            if reply.status == 503:
                assert len(first.reply().body) > ANSWER_BYTES
        assert serving.ask("/vram").status == 200


def refused(serving: Serving) -> int:
    return serving.server.stats.requests_total["/vram/history", 503]


def served(serving: Serving) -> bool:
    """Whether a client that reads gets a large answer."""
    return serving.ask("/vram/history", accept_encoding="identity").status == 200
