"""A simulated process on one device: its identity, its threads, and what driver and agent tell of it."""

from typing import NamedTuple

from blackbox.model.parts import Allocator, DeviceProcess, KvPool, OwningThread, ProcessKind, ThreadState
from blackbox.sources.simulated.allocator import CachingAllocator
from blackbox.sources.simulated.gpu import SimulatedGpu

RECENT_SECONDS = 0.5
"""A thread that ran within this time is active; one sample interval."""


class Identity(NamedTuple):
    """Who a process is."""

    pid: int
    name: str
    user: str
    uid: int
    started_at: float
    """Seconds of the machine's time: negative when it ran before the first sample."""
    container: str | None = None
    kind: ProcessKind = "compute"


class SimulatedProcess:
    """Memory of a process: its context, and what its allocator holds when an agent reports from inside."""

    def __init__(self, identity: Identity, gpu: SimulatedGpu, context_bytes: int) -> None:
        """Raises `ValueError` when the device cannot hold the context."""
        if not gpu.claim(context_bytes):
            raise ValueError(f"no room for the context of {identity.name}")
        self.identity = identity
        self.gpu = gpu
        self.allocator = CachingAllocator(gpu)
        self.allocator.now = identity.started_at
        self._context_bytes = context_bytes
        self._names: dict[int, str] = {identity.pid: identity.name}
        self._ran_at: dict[int, float] = {}
        self._running: int | None = None

    @property
    def pid(self) -> int:
        """Also the id of its main thread."""
        return self.identity.pid

    @property
    def used_bytes(self) -> int:
        return self._context_bytes + self.allocator.reserved_bytes

    def add_thread(self, thread_id: int, name: str) -> None:
        self._names[thread_id] = name

    def run(self, thread_id: int, now: float) -> None:
        """This thread is on a CPU now, and no other of the process."""
        self._running = thread_id
        self._ran_at[thread_id] = now

    def rest(self) -> None:
        """No thread of the process is on a CPU."""
        self._running = None

    def exit(self) -> None:
        """The driver takes everything back."""
        self.allocator.give_back_all()
        self.gpu.release(self._context_bytes)

    def row(self, started_unix: float, now: float) -> DeviceProcess:
        """The process as the driver lists it. `started_unix` is the wall time of the machine's second 0."""
        who = self.identity
        return DeviceProcess(
            pid=who.pid,
            gpu_uuid=self.gpu.uuid,
            used_bytes=self.used_bytes,
            kind=who.kind,
            name=who.name,
            user=who.user,
            uid=who.uid,
            container=who.container,
            start_time=started_unix + who.started_at,
            state=self._state(who.pid, now),
        )

    def report(self, started_unix: float, taken_at: float, now: float, kv_pools: tuple[KvPool, ...] = ()) -> Allocator:
        """What an agent inside would tell."""
        allocator = self.allocator
        return Allocator(
            pid=self.pid,
            start_time=started_unix + self.identity.started_at,
            gpu_uuid=self.gpu.uuid,
            taken_at=taken_at,
            source="simulated",
            reserved_bytes=allocator.reserved_bytes,
            allocated_bytes=allocator.allocated_bytes,
            requested_bytes=allocator.requested_bytes,
            inactive_split_bytes=allocator.inactive_split_bytes,
            largest_free_bytes=allocator.largest_free_bytes,
            blocks=allocator.blocks(started_unix),
            kv_pools=kv_pools,
            threads=tuple(
                OwningThread(
                    thread_id=thread_id,
                    allocated_bytes=allocator.thread_bytes.get(thread_id, 0),
                    state=self._state(thread_id, now),
                    name=name,
                )
                for thread_id, name in self._names.items()
            ),
            stacks=allocator.stacks(),
        )

    def _state(self, thread_id: int, now: float) -> ThreadState:
        if thread_id == self._running:
            return "running"
        ran_at = self._ran_at.get(thread_id)
        return "active" if ran_at is not None and now - ran_at <= RECENT_SECONDS else "waiting"
