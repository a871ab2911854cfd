"""The agent's budget: CPU time spent is a debt that passing time pays off."""

from __future__ import annotations


class Budget:
    """A share of the time that passes. What is not spent is not saved up."""

    def __init__(self, share: float, tick_seconds: float, now: float) -> None:
        self._share = share
        self._tick_allowance = share * tick_seconds
        self._debt = 0.0
        self._settled_at = now
        self.spent_seconds: float = 0.0
        """CPU time since the start."""

    def spend(self, seconds: float) -> None:
        """Adds to the debt."""
        self._debt += seconds
        self.spent_seconds += seconds

    def affords(self, seconds: float, now: float) -> bool:
        """Whether work of this cost may be done now: it fits what is left of this tick, or no debt is open.

        So work that costs more than a tick's share comes at intervals of cost / share.
        """
        self._debt = max(0.0, self._debt - self._share * max(0.0, now - self._settled_at))
        self._settled_at = now
        return self._debt == 0.0 or self._debt + seconds <= self._tick_allowance

    def interval(self, seconds: float) -> float:
        """How far apart things of this cost must be."""
        return seconds / self._share
