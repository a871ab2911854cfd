"""What agents said and was not taken: counted by reason, and named where its figures are missing."""

from collections import Counter
from typing import Literal, NamedTuple, get_args

from blackbox.sources.agents.text import printable

RefusalReason = Literal[
    "disconnected", "malformed", "unknown_gpu", "too_many_probes", "too_many_failures", "too_many_parts", "too_large"
]
"""`disconnected`: the connection was closed, or never taken. `malformed`: out of range, or breaks another rule of the
wire. `unknown_gpu`: of a GPU that no driver lists. `too_many_*`, `too_large`: over a budget."""
NAMED_SECONDS = 60.0
"""How long the reason of the source names what was refused last."""


USERS_MAX = 64
"""Whose refusals are named; the one refused longest ago goes."""


class Refused(NamedTuple):
    """What was refused last of one user's agents."""

    text: str
    at: float


class Refusals:
    """Counts of what was refused, from all agents, as many as there are reasons; and a text for each user."""

    def __init__(self) -> None:
        self._counts: Counter[RefusalReason] = Counter()
        self._last: dict[int | None, Refused] = {}
        """By user, the newest last; at most `USERS_MAX`."""

    def note(self, reason: RefusalReason, text: str, now: float, uid: int | None, count: int = 1) -> None:
        """Counts what was refused just now; `text` says what, and of which program of the user (None: not known)."""
        self._counts[reason] += count
        self._last.pop(uid, None)
        self._last[uid] = Refused(printable(text), now)
        if len(self._last) > USERS_MAX:
            del self._last[next(iter(self._last))]

    def named(self, now: float) -> dict[int | None, str]:
        """User -> what was refused last of them, while that is not long ago."""
        return {uid: last.text for uid, last in self._last.items() if now - last.at <= NAMED_SECONDS}

    def cost(self) -> dict[str, float]:
        """Every count by its key in `Sample.cost`."""
        return {f"agents_refused_{reason}_total": self._counts[reason] for reason in get_args(RefusalReason)}
