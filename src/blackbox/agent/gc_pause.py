"""Python's garbage collector, held off while the agent makes objects that it lets go of at once.

A list of 15,000 blocks is 30,000 objects. Made while the collector counts, every third such list sets off a look at all
objects of the program, which holds it up for a tenth of a second (seen on PyTorch 2.13, 290,000 objects). Let go of
before the collector counts on, they leave no trace. Its switch is left alone, since that is the program's; the first
threshold is raised instead, to a number that nobody else would choose, and put back only where it still is that one.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

HELD = 1_000_000_007
_before: list[int] = []
"""The threshold in force before it was raised; empty before the first time."""


@contextmanager
def held_off() -> Generator[None, None, None]:
    """For one thread at a time. Does nothing where the program has switched the collector off by a threshold of 0."""
    put_back()  # the program may have saved and set again what was ours
    first, *others = gc.get_threshold()
    if first == 0:
        yield
        return
    _before[:] = [first]
    gc.set_threshold(HELD, *others)
    try:
        yield
    finally:
        put_back()


def put_back() -> None:
    """Ends what is held off, as in a child that was forked meanwhile."""
    first, *others = gc.get_threshold()
    if first == HELD and _before:
        gc.set_threshold(_before[0], *others)
