"""How much may be read of agents: so much at once, then so much per second."""

READ_BYTES_PER_SECOND = 4 * 1024 * 1024
"""Of one agent: twice what 30,000 blocks at 2 Hz take."""
READ_BYTES_BURST = 16 * 1024 * 1024
FRAME_BYTES = 4096
"""A frame costs as much to take in as these many bytes of blocks, however short it is."""


class Meter:
    """A flow and what was taken out of it. May be overdrawn: then nothing is due until that has flowed in again."""

    def __init__(self, per_second: float, burst: float, now: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = burst
        self._counted_at = now

    def take(self, amount: float, now: float) -> None:
        """Takes out."""
        self._left = min(self._burst, self._left + (now - self._counted_at) * self._per_second) - amount
        self._counted_at = now

    def due_in(self, now: float) -> float:
        """Seconds until something may be taken again; 0 when it may now."""
        return max(0.0, -self._left / self._per_second - (now - self._counted_at))
