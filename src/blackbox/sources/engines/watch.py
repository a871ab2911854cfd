"""One address under watch: when to ask it again, and what it said."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from blackbox.model.parts import InferenceEngine
from blackbox.model.status import UserStatus
from blackbox.model.visibility import ANYONE
from blackbox.sources.engines.activity import Activity
from blackbox.sources.engines.adapter import Adapter, ScrapedEngine, printable, silent
from blackbox.sources.engines.adapters import ADAPTERS
from blackbox.sources.engines.address import Address
from blackbox.sources.engines.discovery import Candidate
from blackbox.sources.engines.fetch import NoAnswerError
from blackbox.sources.engines.listeners import at
from blackbox.sources.engines.scrape import HttpScrape

ASK_SECONDS = 2.0
"""Between visits. An engine's own monitoring asks every 15 s; some answer in the thread that serves requests."""
ANSWER_SHARE = 0.05
"""Of its time that an engine may spend on answering us; a slower one is asked less often."""
ASK_SECONDS_MAX = 10.0
"""Between visits of an engine that answers: figures are never much older."""
RETRY_SECONDS_MAX = 60.0
"""Between visits where nobody, or nobody known, answers; doubled from `ASK_SECONDS`."""
DOUBLINGS_MAX = 5
ANOTHERS = "the process that was found does not listen there any more"

log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """Of the visits so far. Replaced, never changed: it is read while the next visit is on."""

    adapter: Adapter | None = None
    """Whose engine answered, once."""
    found: tuple[ScrapedEngine, ...] = ()
    failure: str | None = None
    """Why the last visit came to nothing."""
    failures: int = 0
    """In a row."""
    taken_at: float | None = None
    """When the engines told their figures last."""
    version: str | None = None
    """What the engine told of it."""
    uid: int | None = None
    """Who listens at an address that a person named, as of the last visit; None where that is not known."""


class Watch:
    """Asks one address, never twice at the same time. Its owner calls `start` and then, in any thread, `ask`."""

    def __init__(
        self, address: Address, clock: Callable[[], float] = time.monotonic, proc: Path = Path("/proc")
    ) -> None:
        self.address = address
        self._proc = proc
        self.candidate: Candidate | None = None
        """Whose address it is; set by who discovered it. None where a person named it."""
        self.outcome = Outcome()
        self._clock = clock
        self._due_at = clock()
        self._busy = False
        self._kept: dict[str, bytes | None] = {}
        self._notes: set[str] = set()
        self._activity = Activity(clock=clock)

    @property
    def is_asked(self) -> bool:
        """A question is open."""
        return self._busy

    @property
    def is_due(self) -> bool:
        """Whether to ask now."""
        return not self._busy and self._clock() >= self._due_at

    @property
    def fault(self) -> str | None:
        """What is wrong with an engine known to be here, in one line."""
        return self._fault(self.outcome)

    @property
    def status(self) -> str:
        """How it stands, in a few words."""
        return self._status(self.outcome)

    def _fault(self, outcome: Outcome) -> str | None:
        unsupported = next((text for found in outcome.found for text in _unsupported(found.engine)), None)
        left_out = next((found.left_out for found in outcome.found if found.left_out), None)
        what = outcome.failure or unsupported or left_out
        is_known = self.candidate is None or outcome.adapter is not None
        return f"{self.address}: {what}" if what and is_known else None

    def _uid(self, outcome: Outcome) -> int | None:
        """Whose what it said is: the owner of the engine; None where that is not known."""
        return outcome.uid if self.candidate is None else self.candidate.uid

    def _status(self, outcome: Outcome) -> str:
        adapter, failure = outcome.adapter, outcome.failure
        if adapter is None:
            return failure or "asked for the first time"
        version = printable(outcome.version)
        name = f"{adapter.kind} {version}" if version else adapter.kind
        remark = adapter.checked.remark(version) if adapter.checked and version else None
        return ": ".join(part for part in (name, failure or remark) if part)

    def start(self) -> None:
        """Keeps everybody else from asking until `ask` is done."""
        self._busy = True

    def ask(self, cancelled: threading.Event) -> None:
        """One visit, some seconds at most. Never raises."""
        began_at, candidate = self._clock(), self.candidate
        self.outcome = self._of_the_person(cancelled) if candidate is None else self._of(candidate, cancelled)
        self._due_at = self._clock() + self._pause(self._clock() - began_at)
        self._busy = False

    def engines(self) -> tuple[InferenceEngine, ...]:
        """What is known of the engines behind the address."""
        outcome = self.outcome
        return tuple(self._placed(found, outcome) for found in outcome.found)

    def told(self) -> UserStatus:
        """How the engines stand, for their owner."""
        outcome = self.outcome
        status = self._status(outcome)
        fault = self._fault(outcome)
        return UserStatus(uid=self._uid(outcome), reasons=(fault,) if fault else (), facts={str(self.address): status})

    def _of(self, candidate: Candidate, cancelled: threading.Event) -> Outcome:
        """A visit to what was found: what another tells, who listens there meanwhile, is not taken for its own."""
        if not self._listens(candidate):
            return self._failed(ANOTHERS)
        outcome = self._visit(cancelled)
        return outcome if self._listens(candidate) else self._failed(ANOTHERS)

    def _listens(self, candidate: Candidate) -> bool:
        there = at(self._proc, self.address)  # several of one user, where its processes share the port
        return any(one.inode in candidate.sockets for one in there) and len({one.uid for one in there}) == 1

    def _of_the_person(self, cancelled: threading.Event) -> Outcome:
        """A visit to the address that a person named."""
        before = self._owners()
        outcome = self._visit(cancelled)
        return outcome._replace(uid=self._owner(outcome, before, self._owners()))

    def _owners(self) -> frozenset[int]:
        return frozenset(one.uid for one in at(self._proc, self.address))

    def _owner(self, outcome: Outcome, before: frozenset[int], after: frozenset[int]) -> int | None:
        """Who answered at an address that a person named: the one user who listened there before and after."""
        if before != after or len(after) > 1:
            return None
        if not after:  # nobody: what was told by an engine before is still its owner's
            return outcome.uid if outcome.found else ANYONE
        return next(iter(after))

    def _visit(self, cancelled: threading.Event) -> Outcome:
        scrape = HttpScrape(self.address, self._kept, cancelled, self._is_working, self._notes)
        try:
            return self._scrape(scrape)
        except NoAnswerError as error:
            return self._failed(str(error))
        except Exception:
            log.exception("%s: fault in reading its answer", self.address)
            return self._failed("its answer could not be read")

    def _scrape(self, scrape: HttpScrape) -> Outcome:
        for adapter in self._adapters():
            found = adapter.read(scrape)
            if found is not None:
                return Outcome(adapter, found, taken_at=self._clock(), version=adapter.version(scrape))
            if adapter is self.outcome.adapter:
                self._kept.clear()  # another is there now, if anybody
        answers = ", ".join(f"{path} {status}" for path, status in scrape.statuses.items())
        return self._failed(f"no engine that is known: {answers}")

    def _is_working(self) -> bool | None:
        if self.candidate is not None:
            return self._activity.of_process(self.candidate.pid)
        return self._activity.of_port(self.address.port)

    def _adapters(self) -> Sequence[Adapter]:
        """Those to ask, in this order: the one that knew the engine first, since another may have taken its place."""
        known, candidate = self.outcome.adapter, self.candidate
        possible = [adapter for adapter in ADAPTERS if candidate is None or adapter.kind in candidate.kinds]
        return possible if known is None else [known, *(adapter for adapter in possible if adapter is not known)]

    def _failed(self, reason: str) -> Outcome:
        self._kept.clear()
        found = tuple(found._replace(engine=silent(found.engine, reason)) for found in self.outcome.found)
        before = self.outcome
        return Outcome(before.adapter, found, reason, before.failures + 1, before.taken_at, before.version, before.uid)

    def _pause(self, scrape_seconds: float) -> float:
        failures = self.outcome.failures
        if failures:
            return min(RETRY_SECONDS_MAX, ASK_SECONDS * 2 ** min(failures, DOUBLINGS_MAX))
        return min(ASK_SECONDS_MAX, max(ASK_SECONDS, scrape_seconds / ANSWER_SHARE))

    def _placed(self, found: ScrapedEngine, outcome: Outcome) -> InferenceEngine:
        pid, reason = _place(self.candidate, found, len(outcome.found))
        pids = _group(self.candidate, found, len(outcome.found))
        uid = self._uid(outcome)
        engine = structs.replace(found.engine, pid=pid, pids=pids, taken_at=outcome.taken_at, uid=uid)
        unknown = {name: reason for name, value in (("pid", pid), ("pids", pids)) if not value}
        return structs.replace(engine, unknown=engine.unknown | unknown) if unknown else engine


def _place(candidate: Candidate | None, found: ScrapedEngine, engines: int) -> tuple[int | None, str]:
    """The process that runs an engine, or why it is not known."""
    if candidate is None:
        return None, "found by its address, not among the processes on the GPU"
    pid = candidate.engine_pids.get(found.rank or "") if found.engine.kind == "vllm" else None
    if pid is not None:
        return pid, ""
    if engines == 1 and len(candidate.gpu_pids) == 1:
        return candidate.gpu_pids[0], ""
    pids = ", ".join(map(str, candidate.gpu_pids))
    return None, f"{engines} engine(s) behind this address, on the GPU in process(es) {pids}"


def _group(candidate: Candidate | None, found: ScrapedEngine, engines: int) -> tuple[int, ...]:
    """The processes on GPUs that work for an engine: all around a single one, else those that its own process
    started."""
    if candidate is None:
        return ()
    return candidate.gpu_pids if engines == 1 else candidate.rank_pids.get(found.rank or "", ())


def _unsupported(engine: InferenceEngine) -> list[str]:
    return [reason for reason in engine.unknown.values() if reason.startswith("unsupported")]
