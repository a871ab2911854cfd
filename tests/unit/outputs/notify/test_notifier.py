"""The thread that tells people: what goes in never waits, what fails is tried again, counted, and given up."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from blackbox.model.event import Event
from blackbox.model.forecast import Outlook
from blackbox.outputs.notify import notifier as module
from blackbox.outputs.notify.notifier import Notifier
from tests.clocks import ManualClock
from tests.waiting import until


class Chat:
    """A service that takes messages, or does not."""

    def __init__(self, name: str = "chat #1") -> None:
        self.name = name
        self.taken: list[tuple[str, str]] = []
        self.refuses: str | None = None
        self.tried = 0
        self.may_answer = threading.Event()
        self.may_answer.set()

    def send(self, title: str, body: str) -> str | None:
        self.tried += 1
        self.may_answer.wait()
        if self.refuses is None:
            self.taken.append((title, body))
        return self.refuses


class Rig:
    """A notifier with one service and a clock of its own."""

    def __init__(self, outlook: Sequence[Outlook] = ()) -> None:
        self.clock = ManualClock()
        self.chat = Chat()
        self.outlook = list(outlook)
        self.notifier = Notifier(
            [self.chat],
            host="gpu1",
            address=lambda: "http://gpu1:6767",
            outlook=lambda: self.outlook,
            clock=self.clock,
        )
        self.notifier.start()

    def happen(self, number: int = 0, kind: str = "oom") -> None:
        event = Event(kind=kind, timestamp=float(number), message=f"it failed {number}", gpu_uuid=f"GPU-{number}")  # type: ignore[arg-type]
        self.notifier.note(event)

    def pass_time(self, seconds: float) -> None:
        """And wakes the thread, as anything that happens does."""
        self.clock.advance(seconds)
        self.notifier._wake.set()


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.chat.may_answer.set()
    made.notifier.close(30.0)


def test_what_happened_arrives(rig: Rig) -> None:
    rig.happen(7)
    until(lambda: rig.chat.taken)
    ((title, text),) = rig.chat.taken
    assert title == "gpu1: out of memory"
    assert "it failed 7" in text
    assert text.endswith("http://gpu1:6767/#/moment?t=7.000")
    until(lambda: rig.notifier.status().sent_total == 1)


def test_a_service_that_hangs_holds_nobody_up_and_what_is_too_much_is_counted(rig: Rig) -> None:
    rig.chat.may_answer.clear()
    rig.happen(0)
    until(lambda: rig.chat.tried)
    for number in range(module.WAITING_MAX + 50):
        rig.happen(1000 + number)  # returns, though the thread is stuck
    status = rig.notifier.status()
    assert status.dropped_total == 50
    assert status.waiting == module.WAITING_MAX


def test_a_failure_is_counted_told_and_tried_again(rig: Rig) -> None:
    rig.chat.refuses = "answered 500"
    rig.happen()
    until(lambda: rig.notifier.status().failures_total == 1)
    until(lambda: rig.notifier.status().waiting == 1)
    assert rig.notifier.status().last_failure == "chat #1: answered 500"
    rig.chat.refuses = None
    rig.pass_time(module.TRY_AGAIN_SECONDS[0])
    until(lambda: rig.notifier.status().sent_total == 1)
    assert rig.notifier.status().waiting == 0


def test_a_service_that_never_answers_well_is_given_up(rig: Rig) -> None:
    rig.chat.refuses = "answered 500"
    rig.happen()
    for tries, seconds in enumerate(module.TRY_AGAIN_SECONDS, 1):
        until(lambda tries=tries: rig.notifier.status().failures_total == tries)
        until(lambda: rig.notifier.status().waiting == 1)
        rig.pass_time(seconds)
    until(lambda: rig.notifier.status().dropped_total == 1)
    assert rig.chat.tried == 1 + len(module.TRY_AGAIN_SECONDS)


def outlook(full_in_seconds: float | None) -> Outlook:
    return Outlook(
        gpu=0,
        gpu_uuid="GPU-0",
        pid=None,
        name="A100",
        start_time=None,
        used_bytes=1,
        headroom_bytes=1,
        full_in_seconds_min=full_in_seconds,
        full_in_seconds=full_in_seconds,
        full_in_seconds_max=full_in_seconds,
        since=None,
        evidence=None,
        message=f"GPU 0: prediction: would be full in {full_in_seconds}",
    )


def test_a_gpu_that_fills_is_told_once_until_it_is_calm_again(rig: Rig) -> None:
    def look(full_in_seconds: float | None) -> None:
        seen: list[bool] = []

        def told() -> list[Outlook]:
            seen.append(True)
            return [outlook(full_in_seconds)]

        rig.notifier._outlook = told
        rig.pass_time(module.OUTLOOK_SECONDS)
        until(lambda: seen)
        rig.happen(len(seen), kind="process_start")

    for full_in_seconds in (5000.0, 800.0, 700.0, 1000.0, 600.0):
        look(full_in_seconds)
    until(lambda: rig.notifier.status().sent_total == 1)
    assert "800" in rig.chat.taken[0][1]
    look(None)
    rig.pass_time(module.OUTLOOK_SECONDS * 20)  # past the fold
    look(500.0)
    until(lambda: rig.notifier.status().sent_total == 2)
    assert "500" in rig.chat.taken[1][1]


def test_a_fault_in_the_prediction_leaves_the_rest_running(rig: Rig) -> None:
    def broken() -> list[Outlook]:
        raise RuntimeError("disk")

    rig.notifier._outlook = broken
    rig.pass_time(module.OUTLOOK_SECONDS)
    rig.happen()
    until(lambda: rig.notifier.status().sent_total == 1)
