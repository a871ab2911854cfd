"""An allowance: so many at once, then one every so many seconds."""

from collections.abc import Callable


class Allowance:
    """Rations what could otherwise run away. `burst` at once, then one every `seconds`."""

    def __init__(self, clock: Callable[[], float], burst: int, seconds: float) -> None:
        self._clock = clock
        self._burst = burst
        self._seconds = seconds
        self._left = float(burst)
        self._counted_at = clock()

    def take(self) -> bool:
        """Takes one, if there is one."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._counted_at) / self._seconds)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
