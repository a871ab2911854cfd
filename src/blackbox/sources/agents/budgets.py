"""How much agents may say and be held for: shares of each user, and what all together may take.

Where all together are over a limit, the user who takes most loses, never another.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from blackbox.sources.rate_limit import TokenBucket

USER_READ_BYTES_PER_SECOND = 8 * 1024 * 1024
"""Of one user's agents together: half of what all may send, so that one who floods does not slow down the others."""
USER_READ_BYTES_BURST = 32 * 1024 * 1024
FAILURES_BURST, FAILURES_SECONDS = 32, 5.0
"""Failed allocations of one user's programs: so many at once, since a job of many processes fails as one; then one in
so many seconds."""
AGENT_FAILURES_BURST, AGENT_FAILURES_SECONDS = 8, 5.0
"""Of one program."""
FAILURE_BYTES_MAX = 18 * 1024 * 1024
"""Of one failed allocation, as JSON: 100,000 blocks with short labels take 15 MiB. One that is larger is told without
its blocks, steps and stacks."""
FAILURE_BYTES_BURST, FAILURE_BYTES_PER_SECOND = 32 * 1024 * 1024, 320 * 1024
"""Of one user's, likewise: what 14 processes with 15,000 blocks each tell when they fail as one."""
USERS_MAX = 1024
"""Users whose budgets are remembered; the one not heard for longest goes."""

T = TypeVar("T")


class Usage(NamedTuple):
    """What one connection, or all of them, take."""

    held_bytes: int = 0
    """Of frames that are not complete."""
    rows: int = 0
    """Blocks."""
    kept_bytes: int = 0
    """Of reports, without their blocks, in memory."""
    parts: int = 0
    """What is looked at in every sample: allocators, layouts, threads, engines."""

    def changed(self, before: "Usage", now: "Usage") -> "Usage":
        """The sum, once one part of it is `now` instead of `before`."""
        return Usage(*(total - old + new for total, old, new in zip(self, before, now, strict=True)))


class UserBudget:
    """What one user's agents may still say now."""

    def __init__(self, now: float) -> None:
        self.reads = TokenBucket(USER_READ_BYTES_BURST, USER_READ_BYTES_PER_SECOND, now)
        self.failures = TokenBucket(FAILURES_BURST, 1 / FAILURES_SECONDS, now)
        self.failure_bytes = TokenBucket(FAILURE_BYTES_BURST, FAILURE_BYTES_PER_SECOND, now)


class UserBudgets:
    """The budgets of all users, kept beyond their connections: connecting again does not renew them."""

    def __init__(self) -> None:
        self._of: dict[int, UserBudget] = {}
        """By user id, the last heard last; at most `USERS_MAX`."""

    def of(self, uid: int, now: float) -> UserBudget:
        """The budget of a user."""
        budget = self._of[uid] = self._of.pop(uid, None) or UserBudget(now)
        if len(self._of) > USERS_MAX:
            del self._of[next(iter(self._of))]
        return budget


def of_largest_user(items: Iterable[T], uid: Callable[[T], int], size: Callable[[T], int] = lambda _: 1) -> list[T]:
    """The items of the user who has most of them by `size`, in their order."""
    items = list(items)
    sizes: Counter[int] = Counter()
    for item in items:
        sizes[uid(item)] += size(item)
    largest = max(sizes, key=lambda user: sizes[user])
    return [item for item in items if uid(item) == largest]


def weigh(value: object) -> int:
    """Bytes that a report takes in memory, about: of itself and all that it holds."""
    size = sys.getsizeof(value)
    if isinstance(value, tuple):
        return size + sum(map(weigh, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, dict):
        return size + sum(map(weigh, value)) + sum(map(weigh, value.values()))  # pyright: ignore
    return size
