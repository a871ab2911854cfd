"""The thread rows of one process on one GPU."""

from collections.abc import Sequence

from msgspec import structs

from blackbox.model.parts import Allocator, DeviceProcess, OwningThread, ThreadState
from blackbox.model.snapshot import Thread
from blackbox.model.text import size

NO_OWNERS = {"allocated_bytes": "owners of allocations unknown; all of the process, on its main thread"}
NO_OWNERS_NO_STATE = NO_OWNERS | {"state": "thread not readable"}


def thread_rows(
    pid: int, gpu: int, allocators: Sequence[Allocator], listed: DeviceProcess | None
) -> tuple[Thread, ...]:
    """Rows that sum to the allocators' allocated bytes."""
    ownerless = sum(allocator.allocated_bytes - owned_bytes(allocator) for allocator in allocators)
    owners: dict[int, OwningThread] = {}
    for allocator in allocators:
        for thread in allocator.threads or ():
            owners[thread.thread_id] = _added(owners.get(thread.thread_id), thread)
    rows = [
        Thread(
            thread_id=owner.thread_id,
            allocated_bytes=owner.allocated_bytes,
            state=owner.state,
            pid=pid,
            gpu=gpu,
            name=owner.name,
        )
        for owner in owners.values()
    ]
    if pid in owners and ownerless:
        return tuple(_with_ownerless(row, ownerless) if row.thread_id == pid else row for row in rows)
    if ownerless or not rows:
        rows.append(main_thread(pid, gpu, listed, ownerless))
    return tuple(rows)


def _with_ownerless(row: Thread, ownerless: int) -> Thread:
    unknown = {"allocated_bytes": f"{size(ownerless)} of it are of unknown owner"}
    return structs.replace(row, allocated_bytes=row.allocated_bytes + ownerless, unknown=unknown)


def owned_bytes(allocator: Allocator) -> int:
    """How many of the allocator's allocated bytes its threads own."""
    return sum(thread.allocated_bytes for thread in allocator.threads or ())


def _added(known: OwningThread | None, more: OwningThread) -> OwningThread:
    if known is None:
        return more
    return OwningThread(
        thread_id=known.thread_id,
        allocated_bytes=known.allocated_bytes + more.allocated_bytes,
        state=known.state,
        name=known.name or more.name,
    )


def main_thread(pid: int, gpu: int, listed: DeviceProcess | None, allocated_bytes: int) -> Thread:
    """The row of the main thread, which stands for all threads whose share is unknown."""
    state: ThreadState | None = listed.state if listed is not None else None
    return Thread(
        thread_id=pid,
        allocated_bytes=allocated_bytes,
        state=state or "waiting",
        pid=pid,
        gpu=gpu,
        name=listed.name if listed is not None else None,
        unknown=NO_OWNERS if state is not None else NO_OWNERS_NO_STATE,
    )
