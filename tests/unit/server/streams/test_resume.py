"""What a stream begins with, and how one that comes back catches up: frame by frame, as fast as it takes them."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox.hub import HISTORY_MOMENTS_MAX
from blackbox.model.view import Shape, UnknownGpuError
from blackbox.server.http.outbox import Outbox
from blackbox.server.http.sse import Framing
from blackbox.server.streams.frame_cache import StreamFormat
from blackbox.server.streams.snapshot_broadcast import BEFORE_FIRST, SnapshotClient
from tests.unit.server.streams.test_snapshot_broadcast import FORMAT, Paper, Stage
from tests.waiting import until


@pytest.fixture
def stage() -> Iterator[Stage]:
    with closing(Stage()) as made:
        yield made


class Narrow(Paper):
    """Takes a frame, and no more until it is told."""

    client: SnapshotClient

    def write(self, data: bytes, more: bytes = b"") -> None:
        super().write(data, more)
        if b"id:" in data + more:
            self.client.pause()


def begun(
    stage: Stage, last_event_id: int | None, paper: Paper | None = None, stream_format: StreamFormat = FORMAT
) -> tuple[SnapshotClient, Paper]:
    """A stream that has been opened."""
    client = stage.broadcaster.join(stream_format)
    assert client is not None
    paper = paper or Paper()
    if isinstance(paper, Narrow):
        paper.client = client

    async def begin() -> None:
        opening = client.opening(last_event_id)
        if opening is not None:
            await client.make(opening)
        client.start(cast("Outbox", paper), b"", client.seq)

    stage.loop.run_until_complete(begin())
    return client, paper


def settle(stage: Stage, paper: Paper, last: int) -> None:
    """Turns the loop until event `last` has been sent."""

    def is_sent() -> bool:
        stage.turn()
        return f"id: {last}" in paper.lines

    until(is_sent)


def test_before_the_first_sample_there_is_nothing_to_say(stage: Stage) -> None:
    for last_event_id in (None, 1):
        client, paper = begun(stage, last_event_id)
        assert (paper.lines, client.seq) == ([], BEFORE_FIRST)


def test_a_new_client_gets_the_newest_event(stage: Stage) -> None:
    stage.publish(3)
    _, paper = begun(stage, None)
    assert paper.lines == ["id: 3"]
    assert (stage.stats.frames_sent_total, stage.stats.frames_missed_total) == (1, 0)


def test_a_client_that_returns_gets_all_it_missed_and_what_follows(stage: Stage) -> None:
    stage.publish(5)
    _, paper = begun(stage, 2)
    settle(stage, paper, 5)
    stage.publish(2)
    assert paper.lines == ["id: 3", "id: 4", "id: 5", "id: 6", "id: 7"]
    assert stage.stats.frames_missed_total == 0


def test_a_client_that_missed_nothing_gets_nothing_twice(stage: Stage) -> None:
    stage.publish(5)
    _, paper = begun(stage, 5)
    assert paper.lines == []
    stage.publish()
    assert paper.lines == ["id: 6"]


def test_an_id_of_another_start_means_nothing(stage: Stage) -> None:
    stage.publish(5)
    _, paper = begun(stage, 900)
    assert paper.lines == ["id: 5"]


def test_a_client_away_for_too_long_is_told_what_is_gone(stage: Stage) -> None:
    newest = HISTORY_MOMENTS_MAX + 10
    stage.publish(newest)
    _, paper = begun(stage, 3)
    settle(stage, paper, newest)
    assert paper.lines[:2] == [": missed 7", "id: 11"]
    assert len(paper.lines) == HISTORY_MOMENTS_MAX + 1
    assert stage.stats.frames_missed_total == 7


def test_an_unknown_gpu_is_an_error(stage: Stage) -> None:
    stage.publish()
    with pytest.raises(UnknownGpuError):
        begun(stage, None, stream_format=FORMAT._replace(shape=Shape(gpu="9")))


def test_nothing_is_made_ahead_of_what_a_client_has_taken(stage: Stage) -> None:
    stage.publish(9)
    client, paper = begun(stage, 2, Narrow())
    for _ in range(20):
        stage.turn()
    assert paper.lines == ["id: 3"]
    client.resume()
    settle(stage, paper, 4)
    assert paper.lines == ["id: 3", "id: 4"]


def test_clients_that_resume_at_one_place_share_the_frame(stage: Stage) -> None:
    class Kept(Paper):
        def __init__(self) -> None:
            super().__init__()
            self.pieces: list[bytes] = []

        def write(self, data: bytes, more: bytes = b"") -> None:
            super().write(data, more)
            self.pieces.append(data)

    stage.publish(5)
    first, second = begun(stage, 4, Kept())[1], begun(stage, 4, Kept())[1]
    assert isinstance(first, Kept)
    assert isinstance(second, Kept)
    assert first.pieces[-1] is second.pieces[-1]


@settings(max_examples=40, deadline=None)
@given(last=st.integers(0, 12), actions=st.lists(st.sampled_from(["publish", "resume", "turn"]), max_size=25))
def test_what_a_slow_client_is_sent_and_told_adds_up(last: int, actions: list[str]) -> None:
    """Ids rise, and every gap is told, exactly, whenever it takes what it is sent."""
    with closing(Stage()) as stage:
        stage.publish(12)
        client, paper = begun(stage, last, Narrow())
        for action in actions:
            {"publish": stage.publish, "resume": client.resume, "turn": stage.turn}[action]()
        expected = last
        while expected < stage.seq:
            expected = last
            for line in paper.lines:
                mark, number = line.split(" ", 1)
                if mark == "id:":
                    expected += 1
                    assert int(number) == expected
                else:
                    expected += int(number.removeprefix("missed "))
            if not client.ready:
                client.resume()
            stage.turn()


def test_a_client_that_leaves_while_its_next_frame_is_made_is_forgotten(stage: Stage) -> None:
    stage.publish(5)
    client, paper = begun(stage, 2, Narrow())
    client.resume()
    client.leave()
    for _ in range(5):
        stage.turn()
    assert paper.lines == ["id: 3"]
    assert stage.stats.streams_open == 0


def test_a_gzip_stream_resumes_too(stage: Stage) -> None:
    class Bytes(Paper):
        sent = 0

        def write(self, data: bytes, more: bytes = b"") -> None:
            self.sent += len(data)

    stage.publish(5)
    paper = Bytes()
    begun(stage, 2, paper, StreamFormat(Shape(), Framing(gzip=True)))
    until(lambda: bool(stage.turn() or stage.stats.frames_sent_total == 3))
    assert paper.sent
    assert asyncio.all_tasks(stage.loop) == set()
