"""What a number from an agent has to keep to, and what is said where it does not."""

from collections.abc import Iterable

from blackbox.sources.agents.refusals import RefusalReason
from blackbox.wire import WireError
from blackbox.wire.ranges import RANGES, shown


class RefusedReportError(WireError):
    """A report or a failed allocation that breaks a rule. Those before and after it stand."""

    def __init__(self, text: str, source: str | None = None, reason: RefusalReason = "malformed") -> None:
        super().__init__(text)
        self.reason: RefusalReason = reason
        self.source = source
        """The probe that it is from, where that is known."""


def check(kind: str, *numbers: float | None) -> None:
    """Every number is in the range of its kind, or None."""
    allowed = RANGES[kind]
    for number in numbers:
        if number is not None and not allowed.holds(number):
            raise RefusedReportError(f"{kind.partition('_')[0]} out of range: {shown(number)}")


def check_counts(fields: Iterable[object]) -> None:
    """Every number among the fields."""
    check("count", *(field for field in fields if isinstance(field, int | float)))


def require(kept: bool, otherwise: str) -> None:
    """Raises `RefusedReportError` with the text `otherwise` unless the rule is kept."""
    if not kept:
        raise RefusedReportError(otherwise)
