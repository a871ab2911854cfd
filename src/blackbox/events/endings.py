"""How processes ended: as a source saw it from near by, or as the kernel still shows it of one not waited for."""

import os
import signal
from collections.abc import Callable

from blackbox.model.event import ProcessLife
from blackbox.model.identity import ProcessIdentity, same_process, same_start
from blackbox.model.sample import DeviceProcess, Ending, Event
from blackbox.model.snapshot import Moment
from blackbox.model.text import signal_name, size, who
from blackbox.sources.proc import exit_status as remains
from blackbox.sources.proc.processes import Procfs

REQUESTS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
"""Signals by which people and schedulers ask programs to end: whoever dies of them has not crashed."""
INTERRUPT = "KeyboardInterrupt"
CRASHES = ("exception", "killed", "abrupt")

Place = tuple[int, float | None]
"""(pid, start time)."""


def autopsy(row: DeviceProcess) -> Ending | None:
    """The end of a process that its parent has not waited for yet, as the kernel tells it; None where it tells nothing.

    Only of a process that is known by its start time: it is in our own pid namespace.
    """
    if row.start_time is None:
        return None
    facts, found = Procfs().look(row.pid), remains.look(row.pid)
    if facts is None or found is None or found.wait_status is None:
        return None
    if not (same_process(found.identity, facts.identity) and same_process(facts.identity, _identity(row))):
        return None
    killed = os.WIFSIGNALED(found.wait_status)
    code = None if killed else os.WEXITSTATUS(found.wait_status)
    return Ending(
        pid=row.pid,
        start_time=row.start_time,
        timestamp=0.0,
        name=row.name,
        uid=row.uid,
        # a code other than 0 may be anything: Python ends with 1 after an exception
        ended="killed" if killed else "orderly" if code == 0 else "unknown",
        signal=os.WTERMSIG(found.wait_status) if killed else None,
        exit_code=code,
    )


class Endings:
    """The ends of processes, as far as anybody saw them."""

    def __init__(self, autopsy: Callable[[DeviceProcess], Ending | None] = autopsy) -> None:
        self._autopsy = autopsy
        self._known: dict[Place, Ending] = {}
        """Those in the samples of the newest moment."""

    def take(self, moment: Moment) -> list[Ending]:
        """Those that are new in this moment."""
        before, self._known = self._known, {}
        for sample in moment.samples:
            self._known |= {(ending.pid, ending.start_time): ending for ending in sample.endings}
        return [ending for place, ending in self._known.items() if place not in before]

    def of(self, row: DeviceProcess) -> Ending | None:
        """How a process that holds nothing any more has ended; None where nobody knows, or it lives."""
        told = next((one for one in self._known.values() if one.pid == row.pid and _is_of(one, row)), None)
        if told is not None and told.signal is not None:
            return told
        # who said goodbye may have died of a signal after that
        found = self._autopsy(row)
        return found if told is None or (found is not None and found.ended == "killed") else told


def is_crash(ending: Ending) -> bool:
    """Whether it died, rather than ended."""
    if ending.ended not in CRASHES or ending.exception == INTERRUPT:
        return False
    return ending.signal not in REQUESTS


def crash(ending: Ending, life: ProcessLife | None, gpu_uuid: str | None, timestamp: float) -> Event:
    """The event; `life` is what the driver showed of it on the GPU."""
    held = "" if life is None or life.used_bytes is None else f"; it held {size(life.used_bytes)}"
    return Event(
        kind="crash",
        timestamp=timestamp,
        message=f"{who(ending.name, ending.pid)} died: {how(ending)}{held}",
        gpu_uuid=gpu_uuid,
        pid=ending.pid,
        uid=ending.uid,
        process=ProcessLife(
            name=ending.name,
            start_time=ending.start_time,
            used_bytes=life.used_bytes if life else None,
            peak_used_bytes=life.peak_used_bytes if life else None,
            peak_at=life.peak_at if life else None,
            ended=ending.ended,
            signal=ending.signal,
            exit_code=ending.exit_code,
            exception=ending.exception,
        ),
    )


def how(ending: Ending) -> str:
    """In words that everyone may read."""
    match ending.ended:
        case "orderly":
            return "ended by itself"
        case "exception":
            return "an exception that nobody caught"
        case "killed":
            return f"killed by {signal_name(ending.signal)}"
        case "abrupt" if ending.exit_code is not None:
            return f"left by os._exit with code {ending.exit_code}"
        case "abrupt":
            return "without its exit handlers, by a signal or os._exit"
        case _:
            return "nobody saw how" if ending.exit_code is None else f"ended with code {ending.exit_code}"


def _is_of(ending: Ending, row: DeviceProcess) -> bool:
    return ending.start_time is None or bool(same_start(ending.start_time, row.start_time))


def _identity(row: DeviceProcess) -> ProcessIdentity:
    return ProcessIdentity(row.pid, start_time=row.start_time)
