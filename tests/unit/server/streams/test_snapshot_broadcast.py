"""The slot of a stream client: in time it gets every event, late the newest and the number it missed."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox.hub import Hub
from blackbox.model.status import ServerStats
from blackbox.model.view import Shape
from blackbox.server.http.limits import Limits
from blackbox.server.http.outbox import Outbox
from blackbox.server.http.sse import Framing
from blackbox.server.streams import snapshot_broadcast
from blackbox.server.streams.frame_cache import StreamFormat
from blackbox.server.streams.snapshot_broadcast import BEFORE_FIRST, Broadcaster, SnapshotClient
from tests.moments import moment

STREAMS_MAX = 2
FORMAT = StreamFormat(Shape(blocks="none"), Framing(gzip=False, chunked=False))


class Paper:
    """An outbox that keeps what is written on it."""

    def __init__(self) -> None:
        self.text = ""
        self.closed = False

    def write(self, data: bytes, more: bytes = b"") -> None:
        assert not self.closed
        self.text += (data + more).decode()

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def give_up(self) -> None:
        self.closed = True

    @property
    def lines(self) -> list[str]:
        """Ids and comments."""
        return [line for line in self.text.splitlines() if line.startswith(("id:", ":"))]


class TornPaper(Paper):
    """One on which nothing can be written any more, once it has begun."""

    def write(self, data: bytes, more: bytes = b"") -> None:
        if self.text:
            raise RuntimeError("a fault of this client's")
        super().write(data, more or b":\n")


class Stage:
    """A hub, its broadcaster, and a loop that is turned by hand."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.hub = Hub(time.monotonic)
        self.stats = ServerStats()
        self.workers = ThreadPoolExecutor(1)
        self.broadcaster = Broadcaster(self.hub, self.stats, Limits(heartbeat_seconds=15), STREAMS_MAX, self.workers)
        self.broadcaster.start(self.loop)
        self.seq = 0

    def close(self) -> None:
        self.workers.shutdown()
        self.loop.close()

    def turn(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))

    def publish(self, count: int = 1) -> None:
        for _ in range(count):
            self.seq += 1
            self.hub.publish(moment(seq=self.seq))
            self.turn()

    def join(self, paper: Paper | None = None) -> tuple[SnapshotClient, Paper]:
        client = self.broadcaster.join(FORMAT)
        assert client is not None
        paper = paper or Paper()
        client.start(cast("Outbox", paper), b"", self.seq or BEFORE_FIRST)
        return client, paper


@pytest.fixture
def stage() -> Iterator[Stage]:
    with closing(Stage()) as made:
        yield made


def test_a_client_in_time_gets_every_event(stage: Stage) -> None:
    _, paper = stage.join()
    stage.publish(3)
    assert paper.lines == ["id: 1", "id: 2", "id: 3"]
    assert stage.stats.frames_sent_total == 3


def test_all_clients_of_a_kind_share_one_frame(stage: Stage) -> None:
    first, _ = stage.join()
    second, _ = stage.join()
    stage.publish()
    assert first.subscribers is second.subscribers


def test_a_slow_client_gets_the_newest_event_and_is_told_what_it_missed(stage: Stage) -> None:
    client, paper = stage.join()
    stage.publish(2)
    client.pause()
    stage.publish(4)
    assert paper.lines == ["id: 1", "id: 2"]
    client.resume()
    assert paper.lines == ["id: 1", "id: 2", ": missed 3", "id: 6"]
    assert stage.stats.frames_missed_total == 3


def test_a_client_that_was_slow_for_less_than_an_event_misses_nothing(stage: Stage) -> None:
    client, paper = stage.join()
    stage.publish()
    client.pause()
    client.resume()
    stage.publish()
    client.pause()
    stage.publish()
    client.resume()
    assert paper.lines == ["id: 1", "id: 2", "id: 3"]


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["publish", "pause", "resume"]), max_size=30))
def test_what_is_sent_and_what_is_missed_add_up(actions: list[str]) -> None:
    """Ids rise; every gap is told, exactly."""
    with closing(Stage()) as stage:
        stage.publish()
        client, paper = stage.join()
        for action in actions:
            {"publish": stage.publish, "pause": client.pause, "resume": client.resume}[action]()
        client.resume()
        expected = 1
        for line in paper.lines:
            mark, number = line.split(" ", 1)
            if mark == "id:":
                expected += 1
                assert int(number) == expected
            else:
                expected += int(number.removeprefix("missed "))
        assert expected == stage.seq


def test_an_event_between_the_opening_and_the_start_is_not_lost(stage: Stage) -> None:
    stage.publish()
    client = stage.broadcaster.join(FORMAT)
    assert client is not None
    stage.publish()
    paper = Paper()
    client.start(cast("Outbox", paper), b"id: 1\n", 1)
    assert paper.lines == ["id: 1", "id: 2"]


def test_an_event_that_was_in_the_opening_is_not_sent_again(stage: Stage) -> None:
    client = stage.broadcaster.join(FORMAT)
    assert client is not None
    stage.seq += 1
    stage.hub.publish(moment(seq=1))  # framed, not yet delivered
    paper = Paper()
    client.start(cast("Outbox", paper), b"id: 1\n", 1)
    stage.turn()
    assert paper.lines == ["id: 1"]


def test_silence_is_broken_by_a_comment(stage: Stage) -> None:
    client, paper = stage.join()
    slow, slow_paper = stage.join()
    slow.pause()
    now = client.subscribers.wrote_at
    stage.broadcaster.sweep(now + 14)
    assert paper.lines == []
    stage.broadcaster.sweep(now + 15)
    stage.broadcaster.sweep(now + 16)
    assert paper.lines == [": heartbeat"]
    assert slow_paper.lines == []


def test_there_is_room_for_so_many_streams_and_no_more(stage: Stage) -> None:
    client, _ = stage.join()
    stage.join()
    assert stage.broadcaster.join(FORMAT) is None
    assert stage.stats.streams_refused_total == 1
    client.leave()
    client.leave()
    assert stage.stats.streams_open == 1
    assert stage.broadcaster.join(FORMAT) is not None


def test_a_moment_that_cannot_be_framed_is_logged_and_the_next_one_is_sent(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, paper = stage.join()
    with monkeypatch.context() as broken:
        broken.setattr("blackbox.server.streams.frame_cache.event", None)
        stage.publish()
    stage.publish()
    assert paper.lines == ["id: 2"]
    assert "moment 1 cannot be streamed" in caplog.text


def test_nothing_is_framed_for_nobody(stage: Stage) -> None:
    client, _ = stage.join()
    client.leave()
    stage.publish()
    assert client.subscribers.frame == b""


def test_the_end_brings_the_newest_event_and_says_why(stage: Stage) -> None:
    client, paper = stage.join()
    stage.publish()
    client.pause()
    stage.publish(2)
    stage.broadcaster.stop("server stopping")
    assert paper.lines == ["id: 1", ": missed 1", "id: 3", ": server stopping"]
    assert paper.closed
    stage.publish()
    assert paper.lines[-1] == ": server stopping"


def test_a_stream_of_a_gpu_that_is_gone_ends(stage: Stage) -> None:
    client = stage.broadcaster.join(FORMAT._replace(shape=Shape(gpu="GPU-7")))
    assert client is not None
    paper = Paper()
    client.start(cast("Outbox", paper), b"", BEFORE_FIRST)
    stage.publish()
    assert paper.lines == [": GPU GPU-7 is gone"]
    assert paper.closed


def test_a_closed_loop_ends_the_subscription(stage: Stage) -> None:
    stage.join()
    stage.loop.close()
    stage.hub.publish(moment(seq=1))
    stage.hub.publish(moment(seq=2))


@pytest.mark.fault(45)
@pytest.mark.parametrize("what", ["event", "heartbeat"])
def test_row_45_a_slice_of_the_clients_is_written_to_in_a_turn(
    stage: Stage, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_broadcast, "SLICE_CLIENTS", 1)
    papers = [stage.join()[1] for _ in range(STREAMS_MAX)]

    def begin() -> None:
        if what == "heartbeat":
            stage.broadcaster.sweep(stage.loop.time() + 100)
        else:
            stage.broadcaster._publish(1, {FORMAT: b"id: 1\n"})  # pyright: ignore[reportPrivateUsage]

    begin()
    for number in range(1, STREAMS_MAX + 1):
        assert sum(bool(paper.lines) for paper in papers) == number
        stage.turn()
    assert sum(len(paper.lines) for paper in papers) == STREAMS_MAX


def test_a_fault_in_one_stream_costs_its_own_client_and_no_other_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_broadcast, "SLICE_CLIENTS", 1)  # those behind it stand in slices of their own
    with closing(Stage()) as stage:
        stage.broadcaster = Broadcaster(stage.hub, stage.stats, Limits(), 10, stage.workers)
        stage.broadcaster.start(stage.loop)
        papers = [stage.join(kind())[1] for kind in (Paper, TornPaper, Paper, TornPaper, Paper)]
        stage.publish()
        for _ in papers:
            stage.turn()
        stage.broadcaster.stop("the end")
        whole = [paper.lines for paper in papers if not isinstance(paper, TornPaper)]
        assert whole == [["id: 1", ": the end"]] * 3
        assert all(paper.closed for paper in papers)
