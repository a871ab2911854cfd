"""What agents said becomes parts of a sample: counters of now, details as old as they are, nothing made up."""

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from blackbox.model.block_arrays import ListedBlocks
from blackbox.model.parts import Allocator
from blackbox.sources.agents.connection import PROBES_MAX, AgentConnection
from blackbox.sources.agents.kv_pools import Pools
from blackbox.sources.agents.peer import Peer, RefusedError, check_hello, identify, still_there
from blackbox.sources.agents.sample_parts import STALE_SECONDS, Allocators, engines, kernels
from blackbox.sources.agents.text import TEXT_MAX
from blackbox.sources.proc.processes import ProcessFacts, Procfs
from blackbox.sources.proc.threads import Tasks
from blackbox.wire.message import pack_goodbye, pack_hello, pack_report
from blackbox.wire.report import (
    BLOCK_ORIGINS,
    NO_STACK,
    AllocatorReport,
    BlockColumns,
    Cost,
    EngineReport,
    Hello,
    KernelReport,
    KvLayout,
    KvPiece,
    KvStates,
    OwnerStack,
    OwnerThread,
    Report,
)
from tests.waiting import until_value

NOW, ME = 1000.0, os.getpid()
MIB = 1024 * 1024
COST = Cost(0.25, 3, 1)


class Agent:
    """A program's end of a connection, and the connection."""

    def __init__(self, pid: int = ME, uid: int = 0) -> None:
        ours, self._socket = socket.socketpair()
        process = ProcessFacts(pid, "train", 5, 1.8e9, uid, "someone", None, "waiting")
        peer = Peer(pid, uid, process, Tasks().pid_namespace(None))
        ours.setblocking(False)
        self.connection = AgentConnection(ours, peer, Tasks(), NOW)
        self._socket.sendall(pack_hello(Hello(pid, 0, 5)))
        self.hear(NOW)

    def say(self, *allocators: AllocatorReport, at: float = NOW, source: str = "heap", **fields: Any) -> None:
        self._socket.sendall(pack_report(Report(source, at, allocators, **fields), COST, (BLOCK_ORIGINS,)))
        self.hear(at)

    def hear(self, now: float) -> None:
        assert list(self.connection.receive(now)) == []

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        self.connection.socket.close()
        self._socket.close()


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent()
    yield agent
    agent.close()


@pytest.fixture
def worker() -> Iterator[Agent]:
    worker = Agent(pid=os.getppid())
    yield worker
    worker.close()


def held(mebibytes: int, blocks: int | None = None, **changes: Any) -> AllocatorReport:
    """So much memory, in so many blocks of a MiB."""
    columns = None
    if blocks is not None:
        columns = BlockColumns(range(MIB, MIB * (blocks + 1), MIB), [MIB] * blocks, [1] * blocks)
    fields: dict[str, Any] = {
        "gpu_uuid": "GPU-0",
        "reserved_bytes": mebibytes * MIB,
        "allocated_bytes": mebibytes * MIB,
    }
    return AllocatorReport(**(fields | {"blocks": columns} | changes))


def parts(*agents: Agent, at: float = NOW, of: Allocators | None = None) -> list[Allocator]:
    return (of or Allocators(Tasks())).parts(Pools().join(agent.connection for agent in agents), at)


def test_newer_counters_stand_over_older_blocks_and_say_so(agent: Agent) -> None:
    agent.say(held(4, blocks=4), at=NOW)
    agent.say(held(6), at=NOW + 0.5)
    (heap,) = parts(agent, at=NOW + 0.5)
    assert (heap.reserved_bytes, len(heap.blocks or ())) == (6 * MIB, 4)
    assert (heap.taken_at, heap.details_taken_at) == (NOW + 0.5, NOW)


def test_where_blocks_are_from_is_told_by_row_and_by_array(agent: Agent) -> None:
    columns = BlockColumns(
        range(MIB, MIB * 5, MIB), [MIB] * 4, [1] * 4,
        stack=[0, NO_STACK, 1, 0], starts=[1, 0, 1, 0], pool=[0, 0, 3, 3], allocated_ms=[1500, 0, 2500, 0],
    )  # fmt: skip
    stacks = (OwnerStack(("train.py:1 step",), 2 * MIB, 2), OwnerStack(("model.py:2 forward",), MIB, 1))
    agent.say(held(4)._replace(blocks=columns, stacks=stacks))
    (heap,) = parts(agent)
    assert isinstance(heap.blocks, ListedBlocks)
    assert [(one.stack, one.segment, one.pool, one.allocated_at) for one in heap.blocks] == [
        (0, MIB, 0, 1.5), (None, MIB, 0, None), (1, 3 * MIB, 3, 2.5), (0, 3 * MIB, 3, None)
    ]  # fmt: skip
    assert [(stack.id, stack.frames) for stack in heap.stacks or ()] == [(0, stacks[0].frames), (1, stacks[1].frames)]
    arrays = heap.blocks.arrays
    assert [*map(list, (arrays.stack or (), arrays.segment or (), arrays.pool or (), arrays.allocated_ms or ()))] == [
        [1, 0, 2, 1], [MIB, MIB, 3 * MIB, 3 * MIB], [0, 0, 3, 3], [1500, 0, 2500, 0]
    ]  # fmt: skip
    assert parts(agent)[0].stacks is heap.stacks, "so that nobody packs them anew"


def test_blocks_of_the_same_report_have_no_time_of_their_own(agent: Agent) -> None:
    agent.say(held(4, blocks=4))
    assert parts(agent)[0].details_taken_at is None


def test_blocks_that_do_not_sum_up_are_not_shown(agent: Agent) -> None:
    agent.say(held(5, blocks=4))
    (heap,) = parts(agent)
    assert heap.blocks is None
    assert "sum to" in heap.unknown["blocks"]


def test_an_agent_may_take_its_blocks_back(agent: Agent) -> None:
    agent.say(held(4, blocks=4))
    agent.say(held(4, unknown={"blocks": "too many"}))
    (heap,) = parts(agent)
    assert (heap.blocks, heap.unknown) == (None, {"blocks": "too many"})


def test_a_device_that_is_told_no_more_is_gone(agent: Agent) -> None:
    agent.say(held(4), held(2, gpu_uuid="GPU-1"))
    agent.say(held(4))
    assert [heap.gpu_uuid for heap in parts(agent)] == ["GPU-0"]


def test_an_old_report_is_marked_with_its_age(agent: Agent) -> None:
    agent.say(held(4, blocks=4))
    assert parts(agent, at=NOW + STALE_SECONDS)[0].unknown == {}
    (heap,) = parts(agent, at=NOW + 12.34)
    assert heap.unknown["reserved_bytes"] == "told 12.3 s ago; the agent is silent since"


@pytest.mark.parametrize("stamp", [NOW + 3600, NOW - 3600, -5.0])
def test_a_stamp_of_another_clock_is_not_believed(agent: Agent, stamp: float) -> None:
    agent.send(pack_report(Report("heap", stamp, (held(1),)), COST))
    agent.hear(NOW)
    assert parts(agent)[0].taken_at == NOW


def test_what_is_no_news_still_stands_and_what_is_empty_is_gone(agent: Agent) -> None:
    agent.say(kernels=(KernelReport("process", threads_per_block=256),), engines=(EngineReport("vllm", "tiny"),))
    agent.say()
    assert [one.threads_per_block for one in kernels([agent.connection])] == [256]
    assert [(one.kind, one.pid) for one in engines([agent.connection], NOW)] == [("vllm", ME)]
    agent.say(kernels=(), engines=())
    assert list(kernels([agent.connection])) + list(engines([agent.connection], NOW)) == []


def test_threads_have_their_state_and_those_that_ended_no_row(agent: Agent) -> None:
    stop = threading.Event()
    asleep = threading.Thread(target=stop.wait)
    asleep.start()
    _await_sleep(asleep)
    made = Allocators(Tasks())
    owners = (
        OwnerThread(threading.get_native_id(), 512),
        OwnerThread(asleep.native_id or 0, 512),
        OwnerThread(2**30, 9),
    )
    try:
        agent.say(held(1, threads=owners))
        states = {thread.thread_id: thread.state for thread in parts(agent, of=made)[0].threads or ()}
        assert states == {threading.get_native_id(): "running", asleep.native_id: "waiting"}
        agent.say(held(1, threads=(owners[1]._replace(allocated_bytes=1024),)))
        assert [thread.state for thread in parts(agent, of=made)[0].threads or ()] == ["active"]
    finally:
        stop.set()
        asleep.join()


def _await_sleep(thread: threading.Thread) -> None:
    until_value(lambda: Tasks().look(ME, thread.native_id or 0), lambda task: task is not None and not task.is_running)


def test_names_cannot_move_a_terminals_cursor_or_fill_the_screen(agent: Agent) -> None:
    agent.say(engines=(EngineReport("vllm", "\x1b[2J" + "x" * 1000, unknown={"\n": "\r"}),))
    (engine,) = engines([agent.connection], NOW)
    assert engine.model == "?[2J" + "x" * (TEXT_MAX - 4)
    assert engine.unknown == {"?": "?"}


LAYOUT = KvLayout("0", "GPU-0", ((MIB, 2 * MIB),), 2, (KvPiece(MIB, MIB, MIB),))


def test_the_pages_of_a_worker_hold_what_its_engine_says(agent: Agent, worker: Agent) -> None:
    worker.say(held(4, blocks=4), kv_layouts=(LAYOUT,))
    agent.say(kv_states=(KvStates("0", b"\1\2"),), source="vllm")
    (heap,) = parts(agent, worker)
    (pool,) = heap.kv_pools
    assert [(page.address, page.in_use, page.cached) for page in pool.pages] == [
        (MIB, True, False),
        (2 * MIB, False, True),
    ]


def test_another_users_engine_says_nothing_about_them(worker: Agent) -> None:
    stranger = Agent(pid=1, uid=4711)
    worker.say(held(4, blocks=4), kv_layouts=(LAYOUT,))
    stranger.say(kv_states=(KvStates("0", b"\1\2"),), source="vllm")
    (heap,) = parts(stranger, worker)
    assert heap.kv_pools == ()
    assert "does not tell" in heap.unknown["blocks"]
    stranger.close()


def test_the_pool_goes_to_the_allocator_that_tells_its_blocks(agent: Agent) -> None:
    agent.say(held(1), source="rmm")
    agent.say(held(4, blocks=4), source="pytorch")
    agent.say(source="vllm", kv_layouts=(LAYOUT,), kv_states=(KvStates("0", b"\0\0"),))
    pools = {heap.source: len(heap.kv_pools) for heap in parts(agent)}
    assert pools == {"rmm": 0, "pytorch": 1}


def test_a_pool_without_an_allocator_stands_alone(agent: Agent) -> None:
    agent.say(source="vllm", kv_layouts=(LAYOUT,), kv_states=(KvStates("0", b"\0\1"),))
    (alone,) = parts(agent)
    assert (alone.source, alone.reserved_bytes, [block.size for block in alone.blocks or ()]) == (
        "vllm",
        2 * MIB,
        [2 * MIB],
    )
    assert len(alone.kv_pools[0].pages) == 2


def test_an_unchanged_pool_is_not_made_again(agent: Agent) -> None:
    agent.say(source="vllm", kv_layouts=(LAYOUT,), kv_states=(KvStates("0", b"\0\1"),))
    pools = Pools()
    first, second = (pools.join([agent.connection])[agent.connection][0].pool for _ in range(2))
    assert first is second


def test_costs_that_the_agent_tells_are_kept(agent: Agent) -> None:
    agent.say(held(1))
    assert agent.connection.cost == COST


def test_a_goodbye_ends_the_connection(agent: Agent) -> None:
    agent.send(pack_goodbye())
    with pytest.raises(EOFError):
        agent.hear(NOW)


def test_more_probes_than_any_program_has_are_refused(agent: Agent) -> None:
    for number in range(PROBES_MAX):
        agent.say(source=f"s{number}")
    agent.say(source="one_more")
    assert len(agent.connection.probes) == PROBES_MAX
    assert "probes" in agent.connection.refused["one_more"]


def test_a_hello_with_another_start_than_the_process_is_refused(agent: Agent) -> None:
    with pytest.raises(RefusedError, match="not the one that connected"):
        check_hello(agent.connection.peer, Hello(ME, 0, 6))
    check_hello(agent.connection.peer, Hello(ME, 0, 0))


def test_this_process_is_who_the_kernel_says() -> None:
    near, far = socket.socketpair()
    with near, far:
        peer = identify(near, Procfs(), Tasks())
    assert (peer.pid, peer.uid) == (ME, os.geteuid())
    assert still_there(peer, Procfs(), Tasks())
    assert not still_there(peer._replace(pid=2**30), Procfs(), Tasks())
    reused = peer.process._replace(start_ticks=peer.process.start_ticks + 1)
    assert not still_there(peer._replace(process=reused), Procfs(), Tasks())
    assert still_there(peer._replace(uid=os.getuid() + 1), Procfs(), Tasks()) is False
