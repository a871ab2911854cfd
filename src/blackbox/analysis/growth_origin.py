"""What the memory of a process that grows is for, who allocates it, and whether the same has failed before."""

from collections.abc import Iterable

from blackbox.model.event import Event, OutOfMemory
from blackbox.model.event_list import blamed_stack
from blackbox.model.forecast import EarlierFailures, GrowthOrigin
from blackbox.model.purpose import FREE
from blackbox.model.query import Comparison
from blackbox.model.snapshot import Process


def growth_origin(process: Process, compared: Comparison, refusals: Iterable[Event]) -> GrowthOrigin | None:
    """Of a process that grew between the two sides of a comparison; None where neither its purposes nor its stacks are
    told. `refusals`: out-of-memory events, oldest first."""
    change = next(
        (one for one in compared.processes if (one.gpu_uuid, one.pid) == (process.gpu_uuid, process.pid)), None
    )
    if change is None:
        return None
    purpose = next((one for one in change.purposes if one.delta_bytes > 0 and one.purpose != FREE), None)
    stack = next((one for one in change.stacks if one.delta_bytes > 0 and one.frames), None)
    if purpose is None and stack is None:
        return None
    return GrowthOrigin(
        purpose=None if purpose is None else purpose.purpose,
        purpose_rise_bytes=None if purpose is None else purpose.delta_bytes,
        frames=None if stack is None else stack.frames,
        stack_rise_bytes=None if stack is None else stack.delta_bytes,
        earlier_failures=None if stack is None else _earlier(stack.frames, refusals),
    )


def _earlier(frames: tuple[str, ...], refusals: Iterable[Event]) -> EarlierFailures | None:
    same = [event for event in refusals if event.oom is not None and _is_of(frames, event.oom)]
    if not same:
        return None
    return EarlierFailures(
        count=len(same), first_at=same[0].timestamp, last_at=same[-1].timestamp, last_pid=same[-1].pid
    )


def _is_of(frames: tuple[str, ...], oom: OutOfMemory) -> bool:
    """Whether the stack is the one to blame; of a light event, that is its only one."""
    blamed = blamed_stack(oom) or (oom.stacks[0] if len(oom.stacks) == 1 else ())
    return blamed[: len(frames)] == frames
