"""The source of what inference engines tell over HTTP."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from blackbox.model.sample import Sample
from blackbox.model.status import UserStatus
from blackbox.sources.base import SourceContext
from blackbox.sources.engines import ENGINES
from blackbox.sources.engines.address import Address, parse_url
from blackbox.sources.engines.discovery import Candidate, CandidateKey, Discovery, discover
from blackbox.sources.engines.watch import Watch
from blackbox.sources.proc.table import ProcessTable
from blackbox.sources.proc.tree import Commands

DISCOVER_SECONDS = 10.0
"""Between looks for new ports. New processes on the GPU are looked at in the next sample."""
QUIET_SECONDS = 0.8
"""Between samples while no answer is open: engines are asked every two seconds at the most, so that every second tick
is soon enough."""
SCRAPES_MAX = 4
"""At the same time, each of another engine."""


class EngineSource:
    """Asks in threads of its own; a sample is what is known so far, and never waits for an engine."""

    name = "engines"

    def __init__(
        self,
        gpu_pids: Callable[[], Collection[int]],
        named: Sequence[Address] = (),
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`gpu_pids` are those of our own pid namespace; `named` are asked besides what is discovered."""
        self._gpu_pids = gpu_pids
        self._proc = proc
        self._clock = clock
        self._named = [Watch(address, clock, proc) for address in named]
        self._discovered: dict[CandidateKey, Watch] = {}
        self._discovery = Discovery((), 0)
        self._looked_for: frozenset[int] = frozenset()
        self._commands = Commands(proc)
        self._table = ProcessTable(proc, clock)
        self._look_at = clock()
        self._scrapes_total = 0
        self._is_waiting = False
        """The newest sample was without an answer that an engine was asked for."""
        self._cancelled = threading.Event()
        self._scrapers: ThreadPoolExecutor | None = None

    @property
    def quiet_seconds(self) -> float:
        return 0.0 if self._is_waiting else QUIET_SECONDS

    def sample(self) -> Sample:
        """The engines found so far."""
        self._look()
        watches = self._watches()
        for watch in watches:
            if watch.is_due:
                self._send(watch)
        self._is_waiting = any(watch.is_asked for watch in watches)
        return Sample(
            source=self.name,
            taken_at=self._clock(),
            state="degraded" if any(watch.fault for watch in watches) else "ok",
            engines=tuple(engine for watch in watches for engine in watch.engines()),
            cost={
                "addresses": len(watches),
                "processes_unseen": self._discovery.unseen,
                "visits_total": self._scrapes_total,
            },
            of_users=tuple(_of_users(watches)),
        )

    def close(self) -> None:
        """Gives up every question that is open."""
        self._cancelled.set()
        if self._scrapers is not None:
            self._scrapers.shutdown(cancel_futures=True)
            self._scrapers = None
        self._cancelled = threading.Event()
        self._discovered.clear()
        self._looked_for = frozenset()
        self._named = [Watch(watch.address, self._clock, self._proc) for watch in self._named]

    def _look(self) -> None:
        pids = frozenset(self._gpu_pids())
        if pids == self._looked_for and self._clock() < self._look_at:
            self._table.read_some()
            return
        processes = self._table.list(fresh=pids - self._looked_for) if pids else None
        self._discovery = discover(pids, self._proc, self._commands, processes)
        self._looked_for = pids
        self._look_at = self._clock() + DISCOVER_SECONDS
        self._discovered = {candidate.key: self._watch(candidate) for candidate in self._discovery.candidates}

    def _watch(self, candidate: Candidate) -> Watch:
        """Of the same server as before, with its present company; or a new one."""
        watch = self._discovered.get(candidate.key) or Watch(candidate.address, self._clock, self._proc)
        watch.candidate = candidate
        return watch

    def _watches(self) -> list[Watch]:
        discovered = list(self._discovered.values())
        addresses = {(host, watch.address.port) for watch in discovered for host in watch.address.hosts}
        named = [
            watch
            for watch in self._named
            if not any((host, watch.address.port) in addresses for host in watch.address.hosts)
        ]
        return named + discovered

    def _send(self, watch: Watch) -> None:
        if self._scrapers is None:
            self._scrapers = ThreadPoolExecutor(SCRAPES_MAX, thread_name_prefix="engine-visit")
        watch.start()
        self._scrapes_total += 1
        self._scrapers.submit(watch.ask, self._cancelled)


def _of_users(watches: Iterable[Watch]) -> Iterator[UserStatus]:
    """How the engines of each user stand, by their addresses."""
    own: defaultdict[int | None, list[UserStatus]] = defaultdict(list)
    for watch in watches:
        told = watch.told()
        own[told.uid].append(told)
    for uid, theirs in own.items():
        yield UserStatus(
            uid=uid,
            reasons=tuple(reason for told in theirs for reason in told.reasons),
            facts={address: status for told in theirs for address, status in told.facts.items()},
        )


def make(context: SourceContext) -> EngineSource:
    """The source for the engines of the processes on GPUs, and those that the settings name."""
    return EngineSource(context.gpu_pids, [parse_url(text) for text in ENGINES.of(context.options)])
