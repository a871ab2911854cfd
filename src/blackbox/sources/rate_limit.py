"""A token bucket: so much at once, then so much per second."""


class TokenBucket:
    """Fills with `per_second` tokens a second, up to `capacity`; full at first. Times are of a monotonic clock."""

    def __init__(self, capacity: float, per_second: float, now: float) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._tokens = float(capacity)
        """Negative while overdrawn."""
        self._filled_at = now

    def take(self, now: float) -> bool:
        """Removes one token, if there is one."""
        self._fill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def charge(self, amount: float, now: float) -> None:
        """Removes `amount` tokens for what has been done already, whether they are there or not."""
        self._fill(now)
        self._tokens -= amount

    def due_in(self, now: float) -> float:
        """Seconds until nothing is overdrawn; 0 when nothing is."""
        return max(0.0, -self._tokens / self._per_second - (now - self._filled_at))

    def _fill(self, now: float) -> None:
        self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
