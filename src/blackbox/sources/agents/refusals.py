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


class Refused(NamedTuple):
    """What was refused last."""

    text: str
    at: float


class Refusals:
    """Counts of what was refused, from all agents. As many as there are reasons; one text."""

    def __init__(self) -> None:
        self._counts: Counter[RefusalReason] = Counter()
        self._last: Refused | None = None

    def note(self, reason: RefusalReason, text: str, now: float, count: int = 1) -> None:
        """Counts what was refused just now; `text` says what, and of whom."""
        self._counts[reason] += count
        self._last = Refused(printable(text), now)

    def named(self, now: float) -> str | None:
        """What was refused last, while that is not long ago."""
        last = self._last
        return None if last is None or now - last.at > NAMED_SECONDS else last.text

    def cost(self) -> dict[str, float]:
        """Every count by its key in `Sample.cost`."""
        return {f"agents_refused_{reason}_total": self._counts[reason] for reason in get_args(RefusalReason)}
