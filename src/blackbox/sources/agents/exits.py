"""How a program with an agent in it ended: as its agent said, or as the kernel shows it."""

import os

from blackbox.model.event import Ended
from blackbox.model.identity import same_process
from blackbox.model.sample import ProcessExit
from blackbox.sources.agents.connection import AgentConnection
from blackbox.sources.agents.text import printable
from blackbox.sources.proc import exit_status


def exit_of(connection: AgentConnection, timestamp: float) -> ProcessExit | None:
    """Of the program whose connection has ended just now; None where it lives on: it has become another program, or
    closed its files.

    The kernel marks a process as ending before it closes the first of its files, so one look is enough.
    """
    if not connection.is_greeted:
        return None
    process = connection.peer.process
    goodbye = connection.goodbye
    wait_status = None
    if goodbye is None:
        now = exit_status.look(process.pid)
        if now is not None and same_process(now.identity, process.identity):
            if not now.is_ending:
                return None
            wait_status = now.wait_status
    exception = None if goodbye is None or goodbye.exception is None else printable(goodbye.exception)
    return ProcessExit(
        pid=process.pid,
        start_time=process.start_time,
        timestamp=timestamp,
        name=process.name,
        uid=connection.peer.uid,
        ended=_manner(connection, wait_status),
        signal=None if wait_status is None else os.WTERMSIG(wait_status) or None,
        exit_code=os.WEXITSTATUS(wait_status) if wait_status is not None and os.WIFEXITED(wait_status) else None,
        exception=exception,
        gpu_uuids=_gpu_uuids(connection),
    )


def _manner(connection: AgentConnection, wait_status: int | None) -> Ended:
    if connection.goodbye is not None:
        return "orderly" if connection.goodbye.exception is None else "exception"
    if wait_status is not None and os.WIFSIGNALED(wait_status):
        return "killed"
    if wait_status == 0:
        return "orderly"
    # a report that was cut off tells that we were slow: its goodbye may have found no room
    return "unknown" if wait_status is None and connection.held_bytes else "abrupt"


def _gpu_uuids(connection: AgentConnection) -> tuple[str, ...]:
    held = {
        allocator.gpu_uuid: None
        for probe in connection.probes.values()
        for allocator in probe.report.allocators
        if allocator.reserved_bytes
    }
    return tuple(held)
