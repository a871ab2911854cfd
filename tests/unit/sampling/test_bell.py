"""The bell by which threads wake each other, and the one that the sampler waits for."""

import threading

from blackbox.sampling.bell import Bell
from blackbox.sampling.sampler import WakeEvent
from tests.waiting import PATIENCE_SECONDS


class AskedRunner:
    """As far as the bell looks at a runner."""

    pending = True


def heard(bell: Bell | WakeEvent) -> threading.Event:
    done = threading.Event()

    def wait() -> None:
        bell.wait(PATIENCE_SECONDS)
        done.set()

    threading.Thread(target=wait, daemon=True).start()
    return done


def test_a_bell_that_is_rung_ends_the_wait_and_only_one() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    assert heard(bell).wait(PATIENCE_SECONDS / 2)
    second = heard(bell)
    assert not second.is_set()
    bell.ring()
    assert second.wait(PATIENCE_SECONDS / 2)


def test_a_wait_that_is_over_returns_by_itself() -> None:
    bell = Bell()
    bell.wait(0.0)
    bell.wait(-1.0)


def test_the_sampler_is_woken_by_the_last_answer_it_waits_for() -> None:
    first, last, other = AskedRunner(), AskedRunner(), AskedRunner()
    event = WakeEvent()
    rung: list[str] = []
    event.set = lambda: rung.append("rung")
    event.awaits([first, last])  # pyright: ignore[reportArgumentType]: all that it looks at
    first.pending = False
    event.answered()
    assert rung == []
    last.pending = False
    event.answered()
    assert rung == ["rung"]
    assert other.pending
