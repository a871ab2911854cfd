"""Large answers in turns: others come first, each is sent once and in order, and none waits for ever."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox.server.http.send_scheduler import LARGE_BYTES, SLICE_BYTES, TURNS_MAX, SendScheduler


class Loop:
    """Turned by hand."""

    def __init__(self) -> None:
        self._soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def turn(self) -> None:
        called, self._soon = self._soon, []
        for callback in called:
            callback()

    @property
    def is_idle(self) -> bool:
        return not self._soon


class Client:
    """Has a large answer to send, perhaps others after it."""

    def __init__(self, scheduler: SendScheduler, sent: list["Client"], size: int) -> None:
        self.size = size
        self._scheduler = scheduler
        self._sent = sent

    def ask(self) -> None:
        self._scheduler.arrivals += 1
        if self._scheduler.may_send(self.size):
            self._sent.append(self)
        else:
            self._scheduler.wait(self)

    def take_turn(self) -> int:
        self._sent.append(self)
        return self.size

    def give_up(self) -> None:
        raise AssertionError("nothing is wrong with it")


class FaultyClient(Client):
    """One whose turn fails."""

    has_given_up = False

    def take_turn(self) -> int:
        raise RuntimeError("a fault of this client's")

    def give_up(self) -> None:
        self.has_given_up = True


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def scheduler(loop: Loop) -> SendScheduler:
    return SendScheduler(loop.call_soon)


def test_of_many_that_ask_in_one_turn_a_slice_is_sent_and_then_one_a_turn(loop: Loop, scheduler: SendScheduler) -> None:
    sent: list[Client] = []
    clients = [Client(scheduler, sent, SLICE_BYTES // 4) for _ in range(20)]
    for client in clients:
        client.ask()
    assert sent == clients[:4]
    loop.turn()  # in which they were seen to come
    assert sent == clients[:4]
    for number in range(8, 21, 4):
        loop.turn()
        assert sent == clients[:number]
    loop.turn()
    assert loop.is_idle
    assert scheduler.waiting == 0


def test_while_others_come_in_every_turn_a_slice_is_sent_at_the_latest_in_the_last_that_may_be_theirs(
    loop: Loop, scheduler: SendScheduler
) -> None:
    sent: list[Client] = []
    for _ in range(10):
        Client(scheduler, sent, SLICE_BYTES).ask()
    counts = []
    for _ in range(4 * (TURNS_MAX + 1)):
        scheduler.arrivals += 1
        loop.turn()
        counts.append(len(sent))
    assert counts == [1 + number // (TURNS_MAX + 1) for number in range(1, len(counts) + 1)]


def test_one_that_is_larger_than_a_slice_is_sent_whole(loop: Loop, scheduler: SendScheduler) -> None:
    sent: list[Client] = []
    large, next_one = Client(scheduler, sent, 10 * SLICE_BYTES), Client(scheduler, sent, LARGE_BYTES)
    large.ask()
    next_one.ask()
    assert sent == [large]
    loop.turn()
    loop.turn()
    assert sent == [large, next_one]


def test_who_leaves_is_forgotten(loop: Loop, scheduler: SendScheduler) -> None:
    sent: list[Client] = []
    clients = [Client(scheduler, sent, SLICE_BYTES) for _ in range(3)]
    for client in clients:
        client.ask()
    scheduler.forget(clients[1])
    scheduler.forget(clients[1])
    while not loop.is_idle:
        loop.turn()
    assert sent == [clients[0], clients[2]]


def test_a_fault_in_one_turn_costs_its_own_client_and_none_that_waits(loop: Loop, scheduler: SendScheduler) -> None:
    sent: list[Client] = []
    first, faulty, last = (kind(scheduler, sent, SLICE_BYTES) for kind in (Client, FaultyClient, Client))
    for client in (first, faulty, last):
        client.ask()
    while not loop.is_idle:
        loop.turn()
    assert sent == [first, last]
    assert isinstance(faulty, FaultyClient)
    assert faulty.has_given_up
    assert scheduler.waiting == 0


STEPS = st.lists(st.one_of(st.integers(LARGE_BYTES, 2 * SLICE_BYTES), st.sampled_from(["turn", "somebody comes"])))


@settings(max_examples=300)
@given(steps=STEPS)
def test_whatever_comes_when_each_is_sent_once_and_in_order(steps: list[int | str]) -> None:
    loop = Loop()
    scheduler = SendScheduler(loop.call_soon)
    sent: list[Client] = []
    asked: list[Client] = []
    for step in steps:
        if isinstance(step, int):
            asked.append(Client(scheduler, sent, step))
            asked[-1].ask()
        elif step == "turn":
            before = sum(client.size for client in sent)
            loop.turn()
            last = sent[-1].size if sent else 0
            assert sum(client.size for client in sent) - before < SLICE_BYTES + last
        else:
            scheduler.arrivals += 1
        assert sent == asked[: len(sent)]
    for _ in range((TURNS_MAX + 2) * (len(asked) + 2)):
        loop.turn()
    assert sent == asked
    assert loop.is_idle
