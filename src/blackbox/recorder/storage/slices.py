"""Long work of one thread in slices, so that the others get the interpreter in between.

Only one thread runs Python at a time, and one that waits for its turn asks the other after 5 ms to stop: the event loop
would pay that at every turn while a block of hours is packed.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

SLICE_SECONDS = 0.001
"""Of the thread's CPU time: what an event loop can spare."""
PAUSE_SECONDS = 0.0002
"""Long enough for a thread that waits to wake up and take its turn; none at all would mostly be over before."""


def in_slices(
    items: Iterable[T],
    sleep: Callable[[float], object] = time.sleep,
    cpu_clock: Callable[[], float] = time.thread_time,
) -> Iterator[T]:
    """The same items. Between two of them it pauses where the thread has worked for `SLICE_SECONDS` since it last
    did."""
    paused_at = cpu_clock()
    for item in items:
        yield item
        if cpu_clock() - paused_at >= SLICE_SECONDS:
            sleep(PAUSE_SECONDS)
            paused_at = cpu_clock()
