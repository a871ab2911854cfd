"""All watches together: a moment in, the events it brings out. Knows no clock but the moments' own."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from blackbox.events.endings import Endings
from blackbox.events.growth import GrowthWatch
from blackbox.events.holders import holders
from blackbox.events.orphans import OrphanWatch, Parent, is_alive, parent_of_zombie
from blackbox.events.processes import ProcessWatch
from blackbox.events.thresholds import ThresholdWatch
from blackbox.model.sample import Event, EventKind
from blackbox.model.snapshot import Moment

SINGLY_MAX = 20
"""Starts, and exits, told one by one per moment: each is put on the disk by itself, and a machine that starts hundreds
of short programs a second must not be slowed down, nor its recording, by the tale."""
CROWDS: dict[EventKind, str] = {"process_start": "began to use GPUs", "process_exit": "no longer use GPUs"}


class Detector:
    """Feed it every moment, in order."""

    def __init__(
        self,
        thresholds_percent: Sequence[float] = (),
        alive: Callable[[int], bool] = is_alive,
        endings: Endings | None = None,
        parent_of_zombie: Callable[[int], Parent | None] = parent_of_zombie,
    ) -> None:
        self._watches = (
            ProcessWatch(endings or Endings()),
            GrowthWatch(),
            OrphanWatch(alive, parent_of_zombie),
            ThresholdWatch(thresholds_percent),
        )

    def observe(self, moment: Moment) -> list[Event]:
        """What happened since the last moment, beyond what its sources say themselves."""
        held = holders(moment)
        found = chain.from_iterable(watch.observe(moment, held) for watch in self._watches)
        return list(_without_crowds(found, moment.timestamp))


def _without_crowds(found: Iterable[Event], timestamp: float) -> Iterator[Event]:
    """The events, starts and exits beyond `SINGLY_MAX` of each kind counted in one."""
    counts: Counter[EventKind] = Counter()
    for event in found:
        counts[event.kind] += 1
        if event.kind not in CROWDS or counts[event.kind] <= SINGLY_MAX:
            yield event
    for kind, what in CROWDS.items():
        if (more := counts[kind] - SINGLY_MAX) > 0:
            yield Event(kind=kind, timestamp=timestamp, message=f"{more} more processes {what}")
