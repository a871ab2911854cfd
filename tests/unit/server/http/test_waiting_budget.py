"""The budget of what waits: shared bytes count once, and the slowest make room."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.status import ServerStats
from blackbox.server.http.limits import Limits
from blackbox.server.http.waiting_budget import GRACE_SECONDS, WaitingBudget

BUDGET, SHARE = 1000, 200
LIMITS = Limits(waiting_bytes=BUDGET, waiting_share_bytes=SHARE)


class Client:
    """A client of a given speed, waiting since long."""

    def __init__(self, rate: float = 0.0, since: float = 0.0) -> None:
        self.rate = rate
        self.waiting_since = since
        self.ended = False

    def bytes_per_second(self, now: float) -> float:
        del now
        return self.rate

    def give_up(self) -> None:
        self.ended = True


def budget() -> tuple[WaitingBudget, ServerStats]:
    stats = ServerStats()
    return WaitingBudget(LIMITS, stats, lambda: 100.0), stats


def test_bytes_that_many_wait_for_count_once() -> None:
    made, stats = budget()
    frame = bytes(900)
    clients = [Client() for _ in range(50)]
    for client in clients:
        made.hold(client, frame)
        made.hold(client, frame)
    assert stats.waiting_bytes == 900
    for client in clients:
        assert not client.ended
        assert stats.waiting_bytes == 900
        made.release(client)
        made.release(client)
    assert stats.waiting_bytes == 0


def test_over_the_budget_the_slowest_of_those_over_their_share_is_ended() -> None:
    made, stats = budget()
    modest, fast, slow, last = Client(rate=0), Client(rate=9), Client(rate=1), Client(rate=0)
    for client, size in ((modest, 150), (fast, 300), (slow, 400), (last, 300)):
        made.hold(client, bytes(size))
    assert [client.ended for client in (modest, fast, slow, last)] == [False, False, True, False]
    assert stats.waiting_bytes == 750
    assert stats.connections_ended_for_room_total == 1


def test_a_large_answer_makes_room_for_itself_at_the_cost_of_the_slow_alone() -> None:
    made, _ = budget()
    slow, fresh = Client(), Client(since=100.0 - GRACE_SECONDS / 2)
    made.hold(slow, bytes(500))
    made.hold(fresh, bytes(450))
    assert made.has_room(bytes(400))
    assert (slow.ended, fresh.ended) == (True, False)
    assert not made.has_room(bytes(700)), "whoever has just begun is not ended for another"
    assert not fresh.ended


def test_an_answer_of_any_size_has_room_where_nothing_waits() -> None:
    made, stats = budget()
    huge, client = bytes(5 * BUDGET), Client()
    assert made.has_room(huge)
    made.hold(client, huge)
    assert not client.ended
    assert made.has_room(huge), "the same bytes"
    made.release(client)
    assert stats.waiting_bytes == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 400), st.booleans(), st.integers(0, 3)), max_size=40))
def test_no_order_of_holding_and_releasing_leaves_more_than_the_budget(actions: list[tuple[Any, ...]]) -> None:
    made, stats = budget()
    clients = [Client(rate=number) for number in range(6)]
    shared = [bytes(100 + number) for number in range(4)]
    for number, size, is_shared, which in actions:
        client = clients[number]
        if size < 50:
            made.release(client)
        else:
            made.hold(client, shared[which] if is_shared else bytes(size))
        alone = sum(1 for one in clients if one in made._held)
        assert stats.waiting_bytes <= BUDGET or alone == 1
    for client in clients:
        made.release(client)
    assert stats.waiting_bytes == 0
