"""A comparison that tells a change, and fails then."""

import sys
from collections.abc import Callable


class Evidence:
    """What was seen. `close` ends the program, with 1 where something differs from what the finding says."""

    def __init__(self) -> None:
        self._changed = 0

    def see(self, what: str, seen: object, as_found: object) -> None:
        """Prints one observation."""
        same = seen == as_found and type(seen) is type(as_found)
        self._changed += not same
        print(f"{'as found' if same else 'CHANGED '}  {what}: {seen!r}" + ("" if same else f" (was {as_found!r})"))

    def close(self) -> None:
        sys.exit(1 if self._changed else 0)


def outcome(work: Callable[[], object]) -> object:
    """What it returns, or the name of what it raises."""
    try:
        return work()
    except Exception as error:
        return type(error).__name__
