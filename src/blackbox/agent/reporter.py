"""One tick of the agent: asks every probe, encodes the reports, keeps to the CPU budget. Starts no threads."""

from __future__ import annotations

import time
from collections.abc import Callable

from blackbox.agent.channel import Channel
from blackbox.agent.overhead import CpuBudget, gc_paused
from blackbox.agent.probe import Probe
from blackbox.agent.settings import AgentSettings
from blackbox.wire.message import pack_report
from blackbox.wire.report import Cost


class Reporter:
    """Asks the probes and queues their reports in the channel."""

    def __init__(
        self,
        channel: Channel,
        settings: AgentSettings,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """`cpu_clock` tells the CPU time of the thread that calls `tick`."""
        self._channel = channel
        self._interval_seconds = settings.interval_seconds
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._budget = CpuBudget(settings.budget_ratio, settings.interval_seconds, clock())
        self._probes: list[_ScheduledProbe] = []
        self._reports = 0
        self._dropped = 0

    def add(self, probe: Probe) -> None:
        """Asks this probe too from the next tick on. Any thread may call."""
        self._probes.append(_ScheduledProbe(probe))

    def spend(self, seconds: float) -> None:
        """Counts CPU time that hooks took on other threads. Any thread may call."""
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
            for scheduled in self._probes:
                scheduled.full_at = None
        self._channel.pump()
        if self._channel.connected and not self._channel.idle:
            # the last reports are not sent yet: new ones would only queue behind them
            self._dropped += len(self._probes)
        return self._channel.connected and self._channel.idle

    def _report_all(self) -> float:
        """Asks all probes, beginning with the one whose last full report is oldest.

        Returns the CPU seconds of the full reports.
        """
        full_seconds = 0.0
        for scheduled in sorted(self._probes, key=_last_full):
            full = self._budget.affords(full_seconds + scheduled.full_seconds, self._clock())
            began = self._cpu_clock()
            sent = self._report(scheduled.probe, full)
            if sent and full:
                scheduled.full_at = self._clock()
                scheduled.full_seconds = self._cpu_clock() - began
                full_seconds += scheduled.full_seconds
        self._channel.pump()
        return full_seconds

    def _report(self, probe: Probe, full: bool) -> bool:
        try:
            with gc_paused():
                report = probe.report(full)
                if report is None:
                    return False
                packed = pack_report(report, self.cost, self._channel.reads())
            self._channel.send(packed)
        except Exception:
            self._dropped += 1
            return False
        self._reports += 1
        return True


class _ScheduledProbe:
    """A probe, and when a full report is due."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.full_seconds = 0.0
        """CPU time of the last one; 0 before the first."""
        self.full_at: float | None = None
        """When it was made, by `clock`; None where this connection has carried none yet."""


def _last_full(scheduled: _ScheduledProbe) -> float:
    return -1.0 if scheduled.full_at is None else scheduled.full_at
