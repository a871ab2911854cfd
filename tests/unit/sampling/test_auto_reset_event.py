"""The event by which threads wake each other, and the one that the sampler waits for."""

import threading

from blackbox.sampling.auto_reset_event import AutoResetEvent
from blackbox.sampling.sampler import WakeEvent
from tests.waiting import PATIENCE_SECONDS


class AskedRunner:
    """As far as the event looks at a runner."""

    pending = True


def ended(event: AutoResetEvent | WakeEvent) -> threading.Event:
    done = threading.Event()

    def wait() -> None:
        event.wait(PATIENCE_SECONDS)
        done.set()

    threading.Thread(target=wait, daemon=True).start()
    return done


def test_an_event_that_is_set_ends_one_wait() -> None:
    event = AutoResetEvent()
    event.set()
    event.set()
    assert ended(event).wait(PATIENCE_SECONDS / 2)
    second = ended(event)
    assert not second.is_set()
    event.set()
    assert second.wait(PATIENCE_SECONDS / 2)


def test_a_wait_that_is_over_returns_by_itself() -> None:
    event = AutoResetEvent()
    event.wait(0.0)
    event.wait(-1.0)


def test_the_sampler_is_woken_by_the_last_answer_it_waits_for() -> None:
    first, last, other = AskedRunner(), AskedRunner(), AskedRunner()
    event = WakeEvent()
    told: list[str] = []
    event.set = lambda: told.append("set")
    event.awaits([first, last])  # pyright: ignore[reportArgumentType]: all that it looks at
    first.pending = False
    event.answered()
    assert told == []
    last.pending = False
    event.answered()
    assert told == ["set"]
    assert other.pending
