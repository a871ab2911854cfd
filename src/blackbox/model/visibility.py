"""The rule of visibility, in one place: what a program told of itself, through an agent or as an inference engine that
was asked, is for its owner and for those who see all (root, the server's own user, whoever knows the token).

What the driver and the kernel tell every user stays visible to everyone: that a process uses a GPU, its pid, name and
user, and the bytes it was given. Of what is withheld, others learn no more than that there is some. `None` as owner is
an owner nobody knows, as in recordings of earlier versions: for those who see all alone.
"""

import re
from collections.abc import Iterable, Iterator

from msgspec import structs

from blackbox.model.event import Event, ProcessLife
from blackbox.model.identity import ProcessKey
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator, GivenGpus, InferenceEngine, KernelCounters
from blackbox.model.sample import Sample
from blackbox.model.status import SourceStatus, UserStatus
from blackbox.model.text import size, who

ANYONE = -1
"""Owner of what has no secrets: simulated numbers."""
REASONS_MAX = 3
"""Of programs, named in the reason of one source; its facts have them all."""
WITHHELD = "told to the owners of the programs concerned, and with a token"
WITHHELD_PODS = "told with a token, and to root"
SIMULATED = "simulated"


def sees(viewer_uid: int | None, owner_uid: int | None) -> bool:
    """Whether a viewer (None: one who sees all) may see what belongs to an owner (None: not known)."""
    return viewer_uid is None or owner_uid in (ANYONE, viewer_uid)


class Owners:
    """Whose the parts of a moment are: of who told them, else of the process that the driver lists."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self._listed: dict[ProcessKey, int | None] | None = None
        self._of_pid: dict[int, int | None] | None = None

    def all(self) -> Iterator[int | None]:
        """The owner of everything that a program told, and that a snapshot may show."""
        for sample in self._moment.samples:
            yield from (self.of_allocator(sample, allocator) for allocator in sample.allocators)
            yield from (self.of_counters(sample, row) for row in sample.kernels)
            yield from (self.of_engine(sample, engine) for engine in sample.engines)
            yield from (told.uid for told in sample.of_users)
            if sample.given is not None and sample.given.containers:
                yield None  # root's socket told it, so no user's own server may tell it on

    def of_allocator(self, sample: Sample, allocator: Allocator) -> int | None:
        """The user who may see what an allocator told."""
        if sample.simulated:
            return ANYONE
        if allocator.uid is not None:
            return allocator.uid
        return self._by_key().get((allocator.gpu_uuid, allocator.pid))

    def of_counters(self, sample: Sample, row: KernelCounters) -> int | None:
        """The user who may see counters; `ANYONE` where the driver told them of a whole GPU."""
        if sample.simulated:
            return ANYONE
        if row.uid is not None:
            return row.uid
        return self._by_pid().get(row.pid) if row.scope == "process" else ANYONE

    def of_engine(self, sample: Sample, engine: InferenceEngine) -> int | None:
        """The user who may see what an engine told."""
        return ANYONE if sample.simulated else engine.uid

    def _by_key(self) -> dict[ProcessKey, int | None]:
        if self._listed is None:
            self._listed = {
                (row.gpu_uuid, row.pid): row.uid for sample in self._moment.samples for row in sample.processes
            }
        return self._listed

    def _by_pid(self) -> dict[int, int | None]:
        """The owners of pids; None where two rows of one pid have different ones."""
        if self._of_pid is None:
            self._of_pid = {}
            for (_, pid), uid in self._by_key().items():
                self._of_pid[pid] = uid if self._of_pid.get(pid, uid) == uid else None
        return self._of_pid


def sole_owner(moment: Moment) -> int | None:
    """The user who may see every number of the moment's machine and GPUs; `ANYONE` where no allocator told, so that all
    are the driver's, None where several users' allocators did."""
    owners = Owners(moment)
    found = {owners.of_allocator(sample, row) for sample in moment.samples for row in sample.allocators} - {ANYONE}
    return ANYONE if not found else found.pop() if len(found) == 1 else None


def sees_all(moment: Moment, viewer_uid: int | None) -> bool:
    """Whether nothing is withheld from this viewer, so that they get the snapshot of one who may see everything."""
    return viewer_uid is None or all(sees(viewer_uid, uid) for uid in Owners(moment).all())


def visible_moment(moment: Moment, viewer_uid: int | None) -> Moment:
    """The moment without what the viewer may not see."""
    if viewer_uid is None:
        return moment
    owners = Owners(moment)
    return structs.replace(
        moment, samples=tuple(_visible_sample(sample, owners, viewer_uid) for sample in moment.samples)
    )


def _visible_sample(sample: Sample, owners: Owners, viewer_uid: int | None) -> Sample:
    return structs.replace(
        sample,
        allocators=tuple(one for one in sample.allocators if sees(viewer_uid, owners.of_allocator(sample, one))),
        kernels=tuple(one for one in sample.kernels if sees(viewer_uid, owners.of_counters(sample, one))),
        engines=tuple(one for one in sample.engines if sees(viewer_uid, owners.of_engine(sample, one))),
        events=tuple(visible_event(event, viewer_uid) for event in sample.events),
        process_exits=tuple(one for one in sample.process_exits if sees(viewer_uid, one.uid)),
        given=visible_given(sample, viewer_uid),
        of_users=tuple(told for told in sample.of_users if sees(viewer_uid, told.uid)),
    )


def visible_given(sample: Sample, viewer_uid: int | None) -> GivenGpus | None:
    """Which GPUs were given to which pods: names that the kubelet tells root alone, for those who see all."""
    if sample.given is None or not sample.given.containers or sees(viewer_uid, None):
        return sample.given
    return GivenGpus(reason=WITHHELD_PODS)


def visible_sources(moment: Moment, viewer_uid: int | None) -> tuple[SourceStatus, ...]:
    """The sources of a moment, with what they say of the programs that the viewer may see inside."""
    samples = {sample.source: sample for sample in moment.samples if sample.of_users}
    return tuple(
        visible_status(status, samples[status.name], viewer_uid) if status.name in samples else status
        for status in moment.sources
    )


def visible_status(status: SourceStatus, sample: Sample, viewer_uid: int | None) -> SourceStatus:
    """The status of a source whose newest sample is `sample`."""
    seen = [told for told in sample.of_users if sees(viewer_uid, told.uid)]
    reason = _reason(status, sample, seen)
    cost, facts = dict(status.cost), dict(status.facts)
    for told in seen:
        facts |= told.facts
        for key, value in told.cost.items():
            cost[key] = cost.get(key, 0) + value
    return structs.replace(status, reason=reason, cost=cost, facts=facts)


def visible_reason(status: SourceStatus, sample: Sample, viewer_uid: int | None) -> str | None:
    """The reason of `visible_status`."""
    return _reason(status, sample, [told for told in sample.of_users if sees(viewer_uid, told.uid)])


def _reason(status: SourceStatus, sample: Sample, seen: Iterable[UserStatus]) -> str | None:
    if status.state != sample.state:  # it speaks of the source: that it is late, or has failed
        return status.reason
    reasons = [status.reason] if status.reason else []
    reason = _in_one_line([*reasons, *(line for told in seen for line in told.reasons)])
    return WITHHELD if reason is None and status.state != "ok" else reason


def sees_inside(viewer_uid: int | None, uid: int | None, source: str | None) -> bool:
    """Whether a viewer may see all of an event of that user's process, of which a refusal was told by `source`."""
    return sees(viewer_uid, ANYONE if source == SIMULATED else uid)


def visible_event(event: Event, viewer_uid: int | None) -> Event:
    """The event as a viewer may see it: that it happened, and to which process, is for everyone."""
    if sees_inside(viewer_uid, event.uid, None if event.oom is None else event.oom.source):
        return event
    life = event.process
    if event.kind == "oom":
        return structs.replace(event, oom=None, message=f"{who(life and life.name, event.pid or 0)} was refused memory")
    if life is None or life.ended is None:
        return event if event.oom is None else structs.replace(event, oom=None)
    ended = structs.replace(life, ended="unknown", signal=None, exit_code=None, exception=None)
    return structs.replace(event, oom=None, process=ended, message=_end_message(event, life))


def _end_message(event: Event, life: ProcessLife) -> str:
    """The message of an end without how it came."""
    process = who(life.name, event.pid or 0)
    if event.kind == "crash":
        return f"{process} died" + ("" if life.used_bytes is None else f"; it held {size(life.used_bytes)}")
    peak = "" if life.peak_used_bytes is None else f"; held {size(life.peak_used_bytes)} at most"
    left = f"{process} no longer uses "
    place = re.split(r" \(|;", event.message.removeprefix(left))[0] if event.message.startswith(left) else "a GPU"
    return f"{left}{place}{peak}"


def _in_one_line(reasons: Iterable[str]) -> str | None:
    reasons = list(reasons)
    more = len(reasons) - REASONS_MAX
    named = [*reasons[:REASONS_MAX], *([f"and {more} more"] if more > 0 else [])]
    return "; ".join(named) or None
