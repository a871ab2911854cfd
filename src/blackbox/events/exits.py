"""How processes ended: as reported by a source, or as the kernel still shows it while the parent has not waited."""

import os
import signal
from collections.abc import Callable

from blackbox.model.event import Event, ProcessLife
from blackbox.model.identity import ProcessIdentity, same_process, same_start
from blackbox.model.moment import Moment
from blackbox.model.parts import DeviceProcess
from blackbox.model.sample import ProcessExit
from blackbox.model.text import signal_name, size, who
from blackbox.sources.proc import exit_status
from blackbox.sources.proc.processes import Procfs

STOP_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
"""Signals by which people and schedulers stop programs: a process that one of them ends has not crashed."""
INTERRUPT = "KeyboardInterrupt"
CRASH_ENDS = ("exception", "killed", "abrupt")

ExitKey = tuple[int, float | None]
"""(pid, start time)."""


def kernel_exit(row: DeviceProcess) -> ProcessExit | None:
    """The exit of a zombie, as the kernel reports it; None where the process is no zombie or the kernel does not tell.

    None also without a start time: only a process that has one is known to be in our own pid namespace.
    """
    if row.start_time is None:
        return None
    facts, found = Procfs().look(row.pid), exit_status.look(row.pid)
    if facts is None or found is None or found.wait_status is None:
        return None
    if not (same_process(found.identity, facts.identity) and same_process(facts.identity, _identity_of(row))):
        return None
    killed = os.WIFSIGNALED(found.wait_status)
    code = None if killed else os.WEXITSTATUS(found.wait_status)
    return ProcessExit(
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


def is_gone(row: DeviceProcess) -> bool:
    """Whether the kernel knows the process no more; False where it cannot be asked, as of another pid namespace."""
    if row.start_time is None:
        return False
    facts = Procfs().look(row.pid)
    return facts is None or not same_process(facts.identity, _identity_of(row)) or kernel_exit(row) is not None


class ProcessExits:
    """The exits of processes, as far as a source or the kernel reported them."""

    def __init__(
        self,
        kernel_exit: Callable[[DeviceProcess], ProcessExit | None] = kernel_exit,
        is_gone: Callable[[DeviceProcess], bool] = is_gone,
    ) -> None:
        """`kernel_exit` looks up the exit of a zombie, `is_gone` whether there is such a process still."""
        self._kernel_exit = kernel_exit
        self.is_gone = is_gone
        self._known: dict[ExitKey, ProcessExit] = {}
        """The exits in the samples of the newest moment."""

    def new_exits(self, moment: Moment) -> list[ProcessExit]:
        """The exits that are new in this moment; call it once per moment."""
        before, self._known = self._known, {}
        for sample in moment.samples:
            self._known |= {(one.pid, one.start_time): one for one in sample.process_exits}
        return [one for key, one in self._known.items() if key not in before]

    def of(self, row: DeviceProcess) -> ProcessExit | None:
        """How a process that no longer holds memory has ended; None where that is unknown, or it still runs."""
        reported = next((one for one in self._known.values() if one.pid == row.pid and _belongs_to(one, row)), None)
        if reported is not None and reported.signal is not None:
            return reported
        # a process that reported its own exit may have been killed by a signal after that
        found = self._kernel_exit(row)
        return found if reported is None or (found is not None and found.ended == "killed") else reported


def is_crash(process_exit: ProcessExit) -> bool:
    """Whether the process crashed, rather than ended by itself or by a signal that asks it to stop."""
    if process_exit.ended not in CRASH_ENDS or process_exit.exception == INTERRUPT:
        return False
    return process_exit.signal not in STOP_SIGNALS


def crash_event(process_exit: ProcessExit, life: ProcessLife | None, gpu_uuid: str | None, timestamp: float) -> Event:
    """The event of a crash; `life` is the process as the driver showed it on the GPU, None where it did not."""
    held = "" if life is None or life.used_bytes is None else f"; it held {size(life.used_bytes)}"
    return Event(
        kind="crash",
        timestamp=timestamp,
        message=f"{who(process_exit.name, process_exit.pid)} died: {exit_text(process_exit)}{held}",
        gpu_uuid=gpu_uuid,
        pid=process_exit.pid,
        uid=process_exit.uid,
        process=ProcessLife(
            name=process_exit.name,
            start_time=process_exit.start_time,
            used_bytes=life.used_bytes if life else None,
            peak_used_bytes=life.peak_used_bytes if life else None,
            peak_at=life.peak_at if life else None,
            ended=process_exit.ended,
            signal=process_exit.signal,
            exit_code=process_exit.exit_code,
            exception=process_exit.exception,
        ),
    )


def exit_text(process_exit: ProcessExit) -> str:
    """How a process ended, as text without anything private."""
    match process_exit.ended:
        case "orderly":
            return "ended by itself"
        case "exception":
            return "an exception that nobody caught"
        case "killed":
            return f"killed by {signal_name(process_exit.signal)}"
        case "abrupt" if process_exit.exit_code is not None:
            return f"left by os._exit with code {process_exit.exit_code}"
        case "abrupt":
            return "without its exit handlers, by a signal or os._exit"
        case _:
            return "nobody saw how" if process_exit.exit_code is None else f"ended with code {process_exit.exit_code}"


def _belongs_to(process_exit: ProcessExit, row: DeviceProcess) -> bool:
    return process_exit.start_time is None or bool(same_start(process_exit.start_time, row.start_time))


def _identity_of(row: DeviceProcess) -> ProcessIdentity:
    return ProcessIdentity(row.pid, start_time=row.start_time)
