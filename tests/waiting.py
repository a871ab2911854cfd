"""Waiting for what other threads and processes do: the one place where tests poll."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
"""Ends a hung test. No test waits for it: what is asserted is that a thing happens, not how fast the machine is."""
SLACK_SECONDS = 15.0
"""What a loaded machine may add to a promised time. The faults under test last minutes: who waits for them is found."""
POLL_SECONDS = 0.01
SHOWN_CHARACTERS_MAX = 4000
"""Of what is printed when the wait was in vain."""
What = str | Callable[[], object]
"""What is waited for in words, or what to print of the state of things: a log, say."""


def until(condition: Callable[[], T], what: What = "the condition holds", seconds: float = PATIENCE_SECONDS) -> T:
    """Returns what the condition gives once that is true."""
    return until_value(condition, bool, what, seconds)


def until_value(
    get: Callable[[], T],
    condition: Callable[[T], object],
    what: What = "the condition holds",
    seconds: float = PATIENCE_SECONDS,
) -> T:
    """Returns the first value for which the condition holds."""
    give_up_at = time.monotonic() + seconds
    while not condition(value := get()):
        if time.monotonic() > give_up_at:
            told = what if isinstance(what, str) else what()
            raise AssertionError(
                f"not within {seconds:g} s: {told!s:.{SHOWN_CHARACTERS_MAX}}\n"
                f"the last value was {value!r:.{SHOWN_CHARACTERS_MAX}}"
            )
        time.sleep(POLL_SECONDS)
    return value
