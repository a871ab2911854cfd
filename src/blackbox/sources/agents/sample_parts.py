"""What agents said, as parts of a sample."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from msgspec import structs

from blackbox.model.event import Event, OutOfMemory, TraceScope, TraceSegment, TraceSettings, TraceStep
from blackbox.model.parts import Allocator, AllocatorBlock, InferenceEngine, KernelCounters
from blackbox.model.status import UserStatus
from blackbox.model.text import size, who
from blackbox.sources.agents.connection import AgentConnection
from blackbox.sources.agents.decode import OomMessage
from blackbox.sources.agents.kv_pools import Joined, workers_of
from blackbox.sources.agents.probe_state import CLOCKS_APART_SECONDS_MAX, Details, ProbeState
from blackbox.sources.agents.rows import block_rows, stack_rows
from blackbox.sources.agents.text import printable, printable_values
from blackbox.sources.agents.threads import ThreadStates
from blackbox.sources.proc.threads import Tasks
from blackbox.wire.report import NO_STACK, NOT_KNOWN, AllocatorReport, Cost, EngineReport

STALE_SECONDS = 2.0
"""Agents speak every half second; figures older than this are marked."""
_NO_DETAILS = Details(0.0, None, None, None)


class Allocators:
    """Makes the allocators, and remembers of each thread what tells whether it has done something since."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._threads: dict[tuple[int, str, str], ThreadStates] = {}
        """By pid, probe and device."""

    def parts(self, pools: dict[AgentConnection, list[Joined]], now: float) -> list[Allocator]:
        """Every allocator of every agent, with its KV cache cut into pages where those are known."""
        before, self._threads = self._threads, {}
        parts: list[Allocator] = []
        for connection, joined in pools.items():
            own: list[Allocator] = []
            for source, probe in connection.probes.items():
                for reported in probe.report.allocators:
                    key = connection.peer.pid, source, reported.gpu_uuid
                    threads = self._threads[key] = before.get(key) or ThreadStates(connection.peer.pid, self._tasks)
                    own.append(_allocator(connection, probe, reported, threads, now))
            parts += _with_refused(connection, _with_pools(connection, own, joined))
        return parts


def kernels(connections: Iterable[AgentConnection]) -> Iterator[KernelCounters]:
    """The kernel counters of every agent that has some."""
    for connection in connections:
        for source, probe in connection.probes.items():
            for reported in probe.report.kernels or ():
                yield KernelCounters(
                    pid=connection.peer.pid,
                    source=source,
                    scope=reported.scope,
                    atomic_operations=reported.atomic_operations,
                    threads_per_block=reported.threads_per_block,
                    occupancy=reported.occupancy,
                    active_blocks=reported.active_blocks,
                    memory_throughput=reported.memory_throughput,
                    dram_read_bytes=reported.dram_read_bytes,
                    dram_write_bytes=reported.dram_write_bytes,
                    uid=connection.peer.uid,
                    unknown=printable_values(reported.unknown),
                )


def engines(connections: Iterable[AgentConnection], now: float) -> Iterator[InferenceEngine]:
    """The inference engines inside the agents' processes; without figures where those are old."""
    connections = tuple(connections)
    workers = workers_of(connections)
    for connection in connections:
        for probe in connection.probes.values():
            age = now - probe.taken_at
            for reported in probe.report.engines or ():
                engine = (
                    _engine(connection, reported) if age <= STALE_SECONDS else _silent_engine(connection, reported, age)
                )
                yield structs.replace(engine, pids=workers.get(connection, ()), taken_at=probe.taken_at)


def of_users(connections: Iterable[AgentConnection], refused: Mapping[int | None, str]) -> Iterator[UserStatus]:
    """What the agents of each user cost their programs, and what was `refused` of them last."""
    own: defaultdict[int | None, list[Cost]] = defaultdict(list)
    for connection in connections:
        own[connection.peer.uid].append(connection.cost)
    for uid in dict.fromkeys((*own, *refused)):
        costs = own[uid]
        yield UserStatus(
            uid=uid,
            reasons=(refused[uid],) if uid in refused else (),
            cost={
                "agents_cpu_seconds": sum(cost.cpu_seconds for cost in costs),
                "agents_dropped": sum(cost.dropped for cost in costs),
            },
        )


def oom_event(connection: AgentConnection, message: OomMessage, timestamp: float) -> Event:
    """A failed allocation, whole; `timestamp` is when it was received, which counts where its own is far from that."""
    oom, process = message.header.oom, connection.peer.process
    allocator = None
    if oom.allocator is not None:
        columns = message.blocks
        blocks = None if columns is None else block_rows(columns._replace(stack=None), connection.ids)
        allocator = _counters(connection, oom.source, oom.allocator, oom.taken_at)
        stacks = oom.allocator.stacks
        allocator = structs.replace(allocator, blocks=blocks, stacks=None if stacks is None else stack_rows(stacks))
    free = "" if oom.device_free_bytes is None else f", {size(oom.device_free_bytes)} free"
    return Event(
        kind="oom",
        timestamp=oom.timestamp if abs(oom.timestamp - timestamp) <= CLOCKS_APART_SECONDS_MAX else timestamp,
        message=f"{who(process.name, process.pid)} was refused {size(oom.requested_bytes)}{free}",
        gpu_uuid=oom.gpu_uuid,
        pid=process.pid,
        uid=connection.peer.uid,
        oom=OutOfMemory(
            source=oom.source,
            requested_bytes=oom.requested_bytes,
            thread_id=connection.ids.outer(oom.thread_id),
            device_total_bytes=oom.device_total_bytes,
            device_free_bytes=oom.device_free_bytes,
            allocator=allocator,
            trace=tuple(
                TraceStep(
                    action=printable(step.action),
                    address=step.address,
                    size=step.size,
                    stream=None if step.stream == NOT_KNOWN else step.stream,
                    time_us=step.time_us,
                    stack=step.stack,
                    pool=step.pool,
                    tag=None if step.tag is None else printable(step.tag),
                )
                for step in oom.trace
            ),
            stacks=tuple(tuple(printable(line) for line in stack) for stack in oom.stacks),
            block_stacks=_block_stacks(message),
            segments=tuple(TraceSegment(*segment) for segment in oom.segments),
            settings=None if oom.settings is None else TraceSettings(**oom.settings._asdict()),
            scopes=tuple(TraceScope(printable(name), stage, time_us) for name, stage, time_us in oom.scopes),
            host_pinned_bytes=oom.host_pinned_bytes,
        ),
    )


def _block_stacks(message: OomMessage) -> tuple[int, ...]:
    column = None if message.blocks is None else message.blocks.stack
    return () if column is None else tuple(-1 if number == NO_STACK else number for number in column)


def _engine(connection: AgentConnection, reported: EngineReport) -> InferenceEngine:
    return InferenceEngine(
        pid=connection.peer.pid,
        kind=printable(reported.kind),
        model=None if reported.model is None else printable(reported.model),
        kv_pages_total=reported.kv_pages_total,
        kv_pages_used=reported.kv_pages_used,
        kv_pages_cached=reported.kv_pages_cached,
        kv_usage_ratio=reported.kv_usage_ratio,
        prefix_hit_ratio=reported.prefix_hit_ratio,
        requests_running=reported.requests_running,
        requests_waiting=reported.requests_waiting,
        preemptions_total=reported.preemptions_total,
        uid=connection.peer.uid,
        unknown=printable_values(reported.unknown),
    )


def _silent_engine(connection: AgentConnection, reported: EngineReport, age: float) -> InferenceEngine:
    why = f"told {age:.1f} s ago; the agent is silent since"
    figures = [name for name in EngineReport._fields if name not in ("kind", "model", "unknown")]
    return _engine(connection, EngineReport(reported.kind, reported.model, unknown=dict.fromkeys(figures, why)))


def _allocator(
    connection: AgentConnection, probe: ProbeState, reported: AllocatorReport, threads: ThreadStates, now: float
) -> Allocator:
    details = probe.details.get(reported.gpu_uuid, _NO_DETAILS)
    counters = _counters(connection, probe.report.source, reported, probe.taken_at)
    unknown = counters.unknown
    if details.refused is not None:
        unknown = unknown | {"blocks": details.refused}
    age = now - probe.taken_at
    if age > STALE_SECONDS:
        why = f"told {age:.1f} s ago; the agent is silent since"
        unknown = unknown | dict.fromkeys(("reserved_bytes", "allocated_bytes", "blocks"), why)
    return structs.replace(
        counters,
        blocks=details.blocks,
        threads=None if details.threads is None else threads.rows(details.threads, connection.ids),
        stacks=details.stacks,
        details_taken_at=details.taken_at if details.taken_at < probe.taken_at else None,
        unknown=unknown,
    )


def _with_refused(connection: AgentConnection, allocators: list[Allocator]) -> list[Allocator]:
    """The allocators of a process; those of each device name the reports of its probes that were refused."""
    if not connection.refused:
        return allocators
    why = "; ".join(f"the report of {source} was refused: {text}" for source, text in connection.refused.items())
    refused = dict.fromkeys(("reserved_bytes", "allocated_bytes", "blocks"), printable(why))
    return [structs.replace(one, unknown=refused | one.unknown) for one in allocators]


def _counters(connection: AgentConnection, source: str, reported: AllocatorReport, taken_at: float) -> Allocator:
    return Allocator(
        pid=connection.peer.pid,
        start_time=connection.peer.process.start_time,
        gpu_uuid=reported.gpu_uuid,
        taken_at=taken_at,
        source=source,
        reserved_bytes=reported.reserved_bytes,
        allocated_bytes=reported.allocated_bytes,
        inactive_split_bytes=reported.inactive_split_bytes,
        requested_bytes=reported.requested_bytes,
        largest_free_bytes=reported.largest_free_bytes,
        limit_bytes=reported.limit_bytes,
        uid=connection.peer.uid,
        unknown=printable_values(reported.unknown) if reported.unknown else reported.unknown,
    )


def _with_pools(connection: AgentConnection, allocators: list[Allocator], pools: Iterable[Joined]) -> list[Allocator]:
    """The allocators of a process, with each pool given to the one that holds its memory."""
    for joined in pools:
        held = [place for place, one in enumerate(allocators) if one.gpu_uuid == joined.layout.gpu_uuid]
        if not held:
            allocators.append(_pool_alone(connection, joined))
            continue
        # where several allocators serve a device, the one that tells its blocks holds the engine's tensors
        place = next((place for place in held if allocators[place].blocks is not None), held[0])
        allocators[place] = _with_pool(allocators[place], joined)
    return allocators


def _with_pool(allocator: Allocator, joined: Joined) -> Allocator:
    if joined.pool is None:
        unknown = {"blocks": f"the pages of its KV cache are not known: {joined.reason}"}
        return structs.replace(allocator, unknown=unknown | allocator.unknown)
    return structs.replace(allocator, kv_pools=(*allocator.kv_pools, joined.pool))


def _pool_alone(connection: AgentConnection, joined: Joined) -> Allocator:
    """An allocator that is the pool: nobody tells what else the process holds there."""
    size = sum(size for _, size in joined.layout.ranges)
    alone = Allocator(
        pid=connection.peer.pid,
        start_time=connection.peer.process.start_time,
        gpu_uuid=joined.layout.gpu_uuid,
        taken_at=joined.taken_at,
        source=joined.source,
        reserved_bytes=size,
        allocated_bytes=size,
        inactive_split_bytes=None,
        blocks=tuple(
            AllocatorBlock(address, size, "active", "kv_cache", type_source="framework")
            for address, size in joined.layout.ranges
        ),
        uid=connection.peer.uid,
    )
    return _with_pool(alone, joined)
