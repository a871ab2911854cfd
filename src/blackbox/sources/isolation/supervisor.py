"""Supervision: a source in a process of its own, replaced when it hangs, crashes or talks nonsense.

Nothing here waits without a limit, and a driver call that did harm is left out for a while, so that one sick device
does not take the figures of the others along.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from msgspec import structs

from blackbox.model.sample import Sample
from blackbox.model.status import SourceState
from blackbox.sources.isolation.breadcrumbs import Breadcrumb, Call
from blackbox.sources.isolation.child import SampleRequest
from blackbox.sources.isolation.process import ProcessLostError, SourceProcess
from blackbox.sources.isolation.quarantine import Quarantine
from blackbox.sources.rate_limit import TokenBucket

CALL_SECONDS_MAX = 1.0
"""A driver call takes micro- to milliseconds; one that takes two samples' time hangs."""
TRIAL_SECONDS_MAX = 0.25
"""For a call that did harm before: trying it again costs the other devices less than one sample."""
SLOW_SECONDS_MAX = 10.0
"""Opening a driver that nobody keeps awake takes seconds."""
START_SECONDS_MAX = 10.0
"""A process starts in 0.1 s; on a machine short of memory and CPU it may take this long."""
SAMPLE_SECONDS_MAX = 15.0
"""Many slow calls, none of which hangs, while the devices wake up."""
RETRY_SECONDS_MAX = 1.0
"""After a crash, the same sample is tried again in a new process for this long."""
WATCH_SECONDS = 0.05
"""How often the breadcrumb of a late answer is looked at."""
RELOAD_SECONDS: dict[SourceState, float] = {"version_mismatch": 3.0, "no_driver": 60.0}
"""How often a process in such a state is replaced: it keeps the library it has loaded, which may no longer fit the
driver, and the loader keeps in mind which folders did not exist. The first is back within 5 s; the second state is
for ever where there is no GPU, and must cost nothing."""
STARTS_BURST = 16
"""Processes started without a wait: as many devices may crash their calls one after the other."""
STARTS_SECONDS = 2.0
"""Between starts once the burst is used up: 3 % of a core, and back within 5 s."""
STUCK_MAX = 1
"""Processes that were killed but cannot end, beside which a new one may still be started."""
REASONS_MAX = 3
"""Quarantined calls named in the reason; the rest are counted."""

log = logging.getLogger(__name__)


class SourceFault(Exception):  # noqa: N818 - a fault of the machine, not of the program
    """No sample this time: the state the source is in, and why, in one line."""

    def __init__(self, state: SourceState, reason: str) -> None:
        super().__init__(reason)
        self.state: SourceState = state
        self.reason = reason


class SupervisedSource:
    """A source whose samples are taken in a process of its own.

    `sample` returns, or raises `SourceFault`, within `SAMPLE_SECONDS_MAX`; setting `cancelled` makes it give up at
    once. For use by one thread, which must live on: the kernel kills the process when the thread that started it ends.
    """

    def __init__(
        self,
        name: str,
        factory: str,
        *,
        cancelled: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
        starts_burst: int = STARTS_BURST,
        starts_seconds: float = STARTS_SECONDS,
    ) -> None:
        self.name = name
        self._factory = factory
        self._cancelled = cancelled or threading.Event()
        self._clock = clock
        self._starts = TokenBucket(starts_burst, 1 / starts_seconds, clock())
        self._quarantine = Quarantine(clock)
        self._process: SourceProcess | None = None
        self._stuck: dict[SourceProcess, Call | None] = {}
        """Killed but not gone, each with the call that keeps it, where other calls may still work."""
        self._loss: _Loss | None = None
        """The last one, until a sample arrives."""
        self._answered = False
        """The process has answered before, so it has started up."""
        self._reload_at: float | None = None
        """When to replace a process that only a fresh one can help."""
        self._started_total = 0

    @property
    def restarts_total(self) -> int:
        """Times the process was replaced. Any thread may ask."""
        return max(0, self._started_total - 1)

    @property
    def pid(self) -> int | None:
        """Of the process in use."""
        return self._process.pid if self._process else None

    @property
    def current_call(self) -> Call | None:
        """The driver call the process is in. Any thread may ask."""
        process = self._process
        with contextlib.suppress(ValueError):  # it ended meanwhile
            if process and (crumb := process.crumb):
                return crumb.call
        return None

    def sample(self) -> Sample:
        """A sample from the process, which is started where there is none. Raises `SourceFault`."""
        give_up_at = self._clock() + RETRY_SECONDS_MAX
        while True:
            process = self._ready_process()
            try:
                return self._accept(self._ask(process))
            except ProcessLostError as loss:
                fault = self._lose(process, "failed", _harm_of(loss, process.crumb))
                if self._clock() > give_up_at or self._cancelled.is_set():
                    raise fault from None

    def close(self) -> None:
        """Has the process close its handles and exit, or kills it."""
        if self._process:
            self._process.ask_to_leave()
            self._drop(self._process, culprit=None)
        self._forget_gone()

    def _forget_gone(self) -> None:
        self._stuck = {process: culprit for process, culprit in self._stuck.items() if not process.gone()}

    def _ready_process(self) -> SourceProcess:
        if self._reload_at is not None and self._clock() >= self._reload_at:
            self.close()
        return self._process or self._start()

    def _start(self) -> SourceProcess:
        self._forget_gone()
        if len(self._stuck) > STUCK_MAX or None in self._stuck.values():
            pids = ", ".join(str(process.pid) for process in self._stuck)
            raise SourceFault("stale", f"killed process {pids} is stuck in the kernel, after: {self._reason()}")
        if not self._starts.take(self._clock()):
            raise SourceFault(self._loss.state if self._loss else "failed", self._reason())
        try:
            process = SourceProcess(self.name, self._factory, self._clock)
        except OSError as error:
            raise SourceFault("failed", f"cannot start the source's process: {error}") from error
        self._process = process
        self._started_total += 1
        self._answered = False
        return process

    def _ask(self, process: SourceProcess) -> Sample:
        avoid = tuple((call.function, call.device, reason) for call, reason in self._avoided().items())
        process.send(SampleRequest(avoid))
        asked_at = self._clock()
        while (sample := process.receive(WATCH_SECONDS)) is None:
            if self._cancelled.is_set():
                self.close()
                raise SourceFault("released", "let go while a sample was being taken")
            if harm := self._overdue(process.crumb, asked_at):
                fault = self._lose(process, "stale", harm)
                with contextlib.suppress(SourceFault):
                    self._start()  # ready when the next sample is due
                raise fault
        return sample

    def _overdue(self, crumb: Breadcrumb | None, asked_at: float) -> "_Harm | None":
        """What an answer that is not there yet has done wrong; None while there is time left."""
        now = self._clock()
        if crumb and now - crumb.began_at > (limit := self._limit(crumb)):
            return _Harm(f"{crumb.call} did not return within {limit} s", _avoidable(crumb))
        if crumb is None and now - asked_at > (limit := CALL_SECONDS_MAX if self._answered else START_SECONDS_MAX):
            return _Harm(f"the source's process did not answer within {limit} s", None)
        if now - asked_at > SAMPLE_SECONDS_MAX:
            return _Harm(f"the sample was not complete within {SAMPLE_SECONDS_MAX} s", None)
        return None

    def _limit(self, crumb: Breadcrumb) -> float:
        if crumb.slow:
            return SLOW_SECONDS_MAX
        return TRIAL_SECONDS_MAX if self._quarantine.on_trial(crumb.call) else CALL_SECONDS_MAX

    def _accept(self, sample: Sample) -> Sample:
        self._loss = None
        self._answered = True
        if sample.state not in RELOAD_SECONDS:
            self._reload_at = None
        elif self._reload_at is None:
            self._reload_at = self._clock() + RELOAD_SECONDS[sample.state]
        avoided = self._avoided()
        if sample.state != "ok" or not avoided:
            return sample
        return structs.replace(sample, state="degraded", reason=_summary(list(avoided.values())))

    def _avoided(self) -> dict[Call, str]:
        """The calls to leave out, and why. A call that still holds a stuck process is not tried again."""
        stuck = {call: f"{call} keeps process {process.pid} stuck" for process, call in self._stuck.items() if call}
        return stuck | self._quarantine.active()

    def _lose(self, process: SourceProcess, state: SourceState, harm: "_Harm") -> SourceFault:
        if harm.culprit:
            self._quarantine.add(harm.culprit, harm.reason)
        self._drop(process, harm.culprit)
        self._loss = _Loss(state, harm.reason)
        log.warning("%s: %s; process %d is replaced", self.name, harm.reason, process.pid)
        return SourceFault(state, harm.reason)

    def _reason(self) -> str:
        """Why there is no process."""
        return self._loss.reason if self._loss else "the source's process was replaced too often"

    def _drop(self, process: SourceProcess, culprit: Call | None) -> None:
        if not process.end():
            self._stuck[process] = culprit
            log.error("%s: process %d was killed, but the kernel does not let go of it", self.name, process.pid)
        self._process = None
        self._reload_at = None


class _Loss(NamedTuple):
    state: SourceState
    reason: str


class _Harm(NamedTuple):
    reason: str
    culprit: Call | None
    """The call to leave out for a while."""


def _harm_of(loss: ProcessLostError, crumb: Breadcrumb | None) -> _Harm:
    if crumb is None:
        return _Harm(f"the source's process {loss}", None)
    return _Harm(f"the source's process {loss} in {crumb.call}", _avoidable(crumb))


def _avoidable(crumb: Breadcrumb) -> Call | None:
    return None if crumb.vital else crumb.call


def _summary(reasons: list[str]) -> str:
    more = len(reasons) - REASONS_MAX
    return "; ".join(reasons[:REASONS_MAX]) + (f"; and {more} more" if more > 0 else "")
