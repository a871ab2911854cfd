"""One tick of the agent: asks every probe, packs what they say, keeps to the budget. Knows no threads."""

from __future__ import annotations

import time
from collections.abc import Callable

from blackbox.agent.budget import Budget
from blackbox.agent.channel import Channel
from blackbox.agent.gc_pause import held_off
from blackbox.agent.probe import Probe
from blackbox.agent.settings import Settings
from blackbox.wire.message import pack_report
from blackbox.wire.report import Cost


class Reporter:
    """Asks the probes and fills the channel."""

    def __init__(
        self,
        channel: Channel,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """`cpu_clock` tells the CPU time of the thread that calls `tick`."""
        self._channel = channel
        self._interval_seconds = settings.interval_seconds
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._budget = Budget(settings.budget_ratio, settings.interval_seconds, clock())
        self._watched: list[_Watched] = []
        self._reports = 0
        self._dropped = 0

    def add(self, probe: Probe) -> None:
        """Asks this probe too from the next tick on. Any thread may call."""
        self._watched.append(_Watched(probe))

    def spend(self, seconds: float) -> None:
        """Counts CPU time taken elsewhere for the agent's sake. Any thread may call."""
        self._budget.spend(seconds)

    @property
    def cost(self) -> Cost:
        """Since the start of the agent."""
        return Cost(round(self._budget.spent_seconds, 6), self._reports, self._dropped + self._channel.dropped)

    def tick(self) -> float:
        """Reports, where there is a daemon that keeps up; returns the seconds until the next tick."""
        began = self._cpu_clock()
        full_seconds = self._report_all() if self._ready() else 0.0
        spent = self._cpu_clock() - began
        self._budget.spend(spent)
        return max(self._interval_seconds, self._budget.interval(spent - full_seconds))

    def _ready(self) -> bool:
        if self._channel.connect():
            for watched in self._watched:
                watched.full_at = None
        self._channel.pump()
        if self._channel.connected and not self._channel.idle:
            # what was said last still waits: to ask the probes again would be work for nothing
            self._dropped += len(self._watched)
        return self._channel.connected and self._channel.idle

    def _report_all(self) -> float:
        """Asks all, the one first whose last full report is oldest; returns the CPU seconds of the full reports."""
        full_seconds = 0.0
        for watched in sorted(self._watched, key=_waited):
            full = self._budget.affords(full_seconds + watched.full_seconds, self._clock())
            began = self._cpu_clock()
            told = self._report(watched.probe, full)
            if told and full:
                watched.full_at = self._clock()
                watched.full_seconds = self._cpu_clock() - began
                full_seconds += watched.full_seconds
        self._channel.pump()
        return full_seconds

    def _report(self, probe: Probe, full: bool) -> bool:
        try:
            with held_off():
                report = probe.report(full)
                if report is None:
                    return False
                packed = pack_report(report, self.cost)
            self._channel.send(packed)
        except Exception:
            self._dropped += 1
            return False
        self._reports += 1
        return True


class _Watched:
    """A probe and what is known of its full reports."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.full_seconds = 0.0
        """CPU time of the last one; 0 before the first."""
        self.full_at: float | None = None
        """When that was; None while the daemon has none."""


def _waited(watched: _Watched) -> float:
    return -1.0 if watched.full_at is None else watched.full_at
