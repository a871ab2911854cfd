"""What may wait for a sample: whoever has most gives way."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.agents.decode import OomMessage
from blackbox.sources.agents.refusals import Refusals
from blackbox.sources.agents.waiting_failures import BYTES_MAX, OOMS_MAX, ReceivedOom, WaitingFailures
from blackbox.wire.message import OomHeader
from blackbox.wire.report import AllocatorReport, Oom

MIB = 1024 * 1024


def received(uid: int, mib: int, place: int = 0) -> ReceivedOom:
    connection: Any = SimpleNamespace(peer=SimpleNamespace(pid=7, uid=uid))
    told = Oom("pytorch", 0.0, 0.0, "GPU-0", 1, 1, allocator=AllocatorReport("GPU-0", 1, 1))
    return ReceivedOom(connection, OomMessage(OomHeader(told, None), None), float(place), mib * MIB)


def is_whole(oom: ReceivedOom) -> bool:
    allocator = oom.message.header.oom.allocator
    return allocator is not None and "blocks" not in allocator.unknown


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 18)), max_size=60))
def test_no_more_waits_than_may(told: list[tuple[int, int]]) -> None:
    waiting = WaitingFailures(Refusals())
    for place, (uid, mib) in enumerate(told):
        waiting.add(received(uid, mib, place), float(place))
    kept = waiting.take()
    assert len(kept) <= OOMS_MAX
    assert sum(one.bytes for one in kept) <= BYTES_MAX
    assert len(kept) == min(len(told), OOMS_MAX)
    assert waiting.take() == []


def test_who_tells_little_keeps_it() -> None:
    waiting = WaitingFailures(Refusals())
    waiting.add(received(1, 2), 0.0)
    for _ in range(OOMS_MAX + 5):
        waiting.add(received(2, 18), 0.0)
    kept = waiting.take()
    assert [is_whole(one) for one in kept if one.connection.peer.uid == 1] == [True]
    assert sum(is_whole(one) for one in kept) == 1 + 3
    assert all(one.bytes == 0 for one in kept if not is_whole(one))
