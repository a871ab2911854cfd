"""The stream of events: clients at one place in the recording share its bytes, and a crowd there holds up nobody."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.codec import answer_json
from blackbox.model.event import Event
from blackbox.model.status import ServerStats
from blackbox.recorder import RecordedEvent
from blackbox.recorder.query.visibility import numbered
from blackbox.server.http.answer import Viewer
from blackbox.server.http.limits import Limits
from blackbox.server.http.outbox import Outbox
from blackbox.server.http.query_pool import QueryPool
from blackbox.server.http.sse import Framing
from blackbox.server.streams.event_broadcast import (
    AT_ONCE,
    SLICE_BYTES,
    EventFilter,
    EventStreams,
    Position,
    portion_of,
)
from tests.waiting import PATIENCE_SECONDS

PLAIN = Framing(gzip=False, chunked=False)
KINDS = ("oom", "threshold", "crash")


def recorded(number: int, uid: int | None = None) -> RecordedEvent:
    kind = cast(Any, KINDS[number % len(KINDS)])
    return RecordedEvent(number, Event(kind=kind, timestamp=float(number), message=f"event {number}", uid=uid))


class Pool:
    """Of a recording with these events."""

    def __init__(self, events: list[RecordedEvent], told_max: int = AT_ONCE) -> None:
        """`told_max`: in one read, as where they are large."""
        self.recording = SimpleNamespace(events_after=self._after)
        self._events = events
        self._told_max = told_max

    def _after(self, number: int, count: int, *, light: bool = False) -> list[RecordedEvent]:
        return [one for one in self._events if one.id > number][: count if light else min(count, self._told_max)]

    async def ask(self, work: Any) -> Any:
        return work()


class Paper:
    """An outbox that keeps what is written on it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes, more: bytes = b"") -> None:
        self.written += [data, more] if more else [data]

    def give_up(self) -> None:
        raise AssertionError("nothing is wrong with it")

    @property
    def has_events(self) -> bool:
        return bool(self.written[-1])


class TornPaper(Paper):
    """One on which nothing can be written any more, once it has begun."""

    has_given_up = False

    def write(self, data: bytes, more: bytes = b"") -> None:
        if self.written:
            raise RuntimeError("a fault of this client's")
        super().write(data, more)

    def give_up(self) -> None:
        self.has_given_up = True


def streams_of(events: list[RecordedEvent]) -> EventStreams:
    return EventStreams(cast("QueryPool", Pool(events)), ServerStats(), Limits(), 10_000)


def joined(streams: EventStreams, cursor: int, wanted: EventFilter, viewer: Viewer, kind: type[Paper] = Paper) -> Paper:
    client, paper = streams.join(wanted, PLAIN, viewer), kind()
    assert client is not None
    client.start(cast("Outbox", paper), b"", cursor)
    return paper


POSITIONS = st.builds(
    Position,
    st.integers(0, 12),
    st.builds(EventFilter, st.none() | st.frozensets(st.sampled_from(KINDS))),
    st.just(PLAIN),
    st.sampled_from([None, 1, 2]).map(Viewer),
)


@given(owners=st.lists(st.sampled_from([None, 1, 2]), max_size=10), place=POSITIONS)
def test_what_comes_next_are_the_wanted_events_after_the_cursor_as_the_viewer_may_see_them(
    owners: list[int | None], place: Position
) -> None:
    events = [recorded(number, uid) for number, uid in enumerate(owners, 1)]
    portion = portion_of(place, events)
    mine = [one for one in events if one.id > place.cursor and place.wanted.wants(one.event)]
    assert portion.events == len(mine)
    assert portion.cursor == max(place.cursor, len(events))
    assert [line for line in portion.data.decode().splitlines() if line.startswith("data: ")] == [
        "data: " + answer_json(numbered(one, place.viewer.uid)).decode() for one in mine
    ]


@given(events=st.integers(0, 8), told_max=st.integers(1, 3))
def test_a_new_stream_begins_behind_all_that_is_there_however_large_it_is(events: int, told_max: int) -> None:
    soon = int(time.time() * 1000) + 10**9
    there = [recorded(soon + number) for number in range(events)]
    streams = EventStreams(cast("QueryPool", Pool(there, told_max)), ServerStats(), Limits(), 10_000)
    place = asyncio.run(streams.place_now())
    assert [one for one in there if one.id > place] == []


async def served(streams: EventStreams, papers: list[Paper]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not all(paper.has_events for paper in papers):
            await asyncio.sleep(0)
    for client in tuple(streams.clients):
        client.leave()


@pytest.mark.fault(44)
def test_row_44_clients_at_one_place_share_its_bytes_and_others_have_their_own() -> None:
    async def run() -> None:
        streams = streams_of([recorded(number, uid=1) for number in range(1, 20)])
        crowd = [joined(streams, 0, EventFilter(), Viewer(1)) for _ in range(5)]
        other = joined(streams, 0, EventFilter(), Viewer(2))
        later = joined(streams, 10, EventFilter(), Viewer(1))
        await served(streams, [*crowd, other, later])
        assert len({id(paper.written[-1]) for paper in crowd}) == 1
        assert len({crowd[0].written[-1], other.written[-1], later.written[-1]}) == 3
        assert crowd[0].written[-1].endswith(later.written[-1])

    asyncio.run(run())


@pytest.mark.fault(44)
def test_row_44_a_crowd_that_comes_back_lets_others_go_first_between_slices() -> None:
    clients = 40

    async def run() -> None:
        streams = streams_of([recorded(number) for number in range(1, AT_ONCE + 1)])
        papers = [joined(streams, 0, EventFilter(), Viewer(None)) for _ in range(clients)]
        seen: set[int] = set()

        async def others() -> None:
            while True:
                seen.add(sum(paper.has_events for paper in papers))
                await asyncio.sleep(0)

        watching = asyncio.create_task(others())
        await served(streams, papers)
        watching.cancel()
        at_once = SLICE_BYTES // len(papers[0].written[-1]) + 1
        assert len(seen) >= clients // at_once
        assert at_once < clients / 4

    asyncio.run(run())


def test_a_fault_in_one_stream_costs_its_own_client_and_the_others_get_their_events() -> None:
    async def run() -> None:
        streams = streams_of([recorded(number) for number in range(1, 4)])
        kinds = (Paper, TornPaper) * 4
        papers = [joined(streams, 0, EventFilter(), Viewer(None), kind) for kind in kinds]
        await served(streams, [paper for paper in papers if not isinstance(paper, TornPaper)])
        assert all(paper.has_given_up for paper in papers if isinstance(paper, TornPaper))

    asyncio.run(run())
