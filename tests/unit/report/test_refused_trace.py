"""One run of an allocator seen both ways: by the agent in its program, and in the file that the program dumps later."""

import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec import structs

from blackbox.agent.probes.torch.allocator import TorchAllocator
from blackbox.agent.probes.torch.description import Purposes, with_blocks
from blackbox.agent.probes.torch.out_of_memory import OutOfMemoryWatch
from blackbox.model.event import Event, OutOfMemory, TraceSegment
from blackbox.report import Report, build_report, from_moments, to_json
from blackbox.report.refused_trace import replayed_refusal
from blackbox.report.snapshot_file import of_snapshot_file
from blackbox.sources.agents.decode import OomMessage, decode
from blackbox.sources.agents.sample_parts import oom_event
from blackbox.wire import Unpacker
from blackbox.wire.message import pack_oom
from blackbox.wire.ranges import BYTES_MAX
from blackbox.wire.report import HOST_PINNED, MEMORY_FRACTION, OOM_TRACE, AllocatorReport, Oom
from blackbox.wire.segments import read_segments
from tests import moments
from tests.caching_allocator import MIB, POOL, ROOM_BYTES, CachingAllocator, RefusedError, Version
from tests.host_allocator import HostAllocator
from tests.traced_programs import STACKS, allocators, perform, programs

UUID = "GPU-0"
PID = moments.TRAINER
VERSION: Version = (2, 12)
SHARES = ("by_category", "by_stack", "by_pool")


class Agent:
    """The observer of a program whose allocator is simulated."""

    def __init__(self, memory: CachingAllocator, version: Version, records: bool = True, fraction: float = 1.0) -> None:
        self.told: list[Oom] = []
        self.host = HostAllocator()
        self._memory, self._version = memory, version
        torch = SimpleNamespace(
            cuda=SimpleNamespace(
                is_initialized=lambda: True,
                memory_snapshot=lambda include_traces=True: memory.listed(version),
                memory=SimpleNamespace(
                    _snapshot=lambda: memory.snapshot(version) | self.host.keys(),
                    _record_memory_history=lambda enabled, stacks, max_entries: None,
                    get_per_process_memory_fraction=lambda device: fraction,
                ),
            ),
            _C=SimpleNamespace(
                _cuda_isHistoryEnabled=lambda: records, _cuda_attach_out_of_memory_observer=self._attach
            ),
        )
        allocator: Any = TorchAllocator(torch)  # pyright: ignore[reportArgumentType]
        allocator._uuids[0] = UUID
        allocator.history.watch()
        torch.cuda.memory._record_memory_history(enabled="all", stacks="python", max_entries=10_000)
        context: Any = SimpleNamespace(
            extras=frozenset(), ensure_thread=lambda: None, out_of_memory=lambda oom: self.told.append(oom)
        )
        OutOfMemoryWatch(torch, context, allocator, self._describe).watch()  # pyright: ignore[reportArgumentType]

    def _attach(self, observe: Callable[[int, int, int, int], None]) -> None:
        self.observe = observe

    def _describe(self, segments: list[dict[str, Any]] | None) -> dict[int, AllocatorReport]:
        memory = read_segments(self._memory.listed(self._version) if segments is None else segments)
        nothing = Purposes([], False)
        return {device: with_blocks(one, nothing, None)._replace(gpu_uuid=UUID) for device, one in memory.items()}

    def refuse(self, size: int, **how: Any) -> None:
        """The program asks for more than there is."""
        with pytest.raises(RefusedError):
            self._memory.alloc(size, **how)
        self.observe(0, self._memory.entries[-1]["size"], self._memory.capacity, self._free)

    @property
    def _free(self) -> int:
        return self._memory.capacity - self._memory.reserved


def shipped(oom: Oom, reads: tuple[str, ...] = (OOM_TRACE,)) -> OutOfMemory:
    """What is in the event that the server makes of it."""
    (frame,) = Unpacker().feed(pack_oom(oom, reads))
    message = decode(frame)
    assert isinstance(message, OomMessage)
    process = SimpleNamespace(name="python", pid=PID, start_time=None)
    peer = SimpleNamespace(process=process, pid=PID, uid=1000)
    connection: Any = SimpleNamespace(peer=peer, ids=SimpleNamespace(outer=lambda tid: tid))
    event = oom_event(connection, message, oom.timestamp)
    assert event.message.startswith(f"python (pid {PID}) was refused ")
    assert event.oom is not None
    return event.oom


def live_report(oom: OutOfMemory) -> Report:
    """As of a server that saw that program alone on its GPU."""
    allocator = oom.allocator
    assert allocator is not None
    held = moments.process(pid=PID, used_bytes=allocator.reserved_bytes)
    machine = moments.sample(devices=(moments.device(),), processes=(held,))
    event = Event(kind="oom", timestamp=moments.TIMESTAMP + 0.1, message="", gpu_uuid=UUID, pid=PID, oom=oom)
    evidence = from_moments("test", [moments.moment(machine)], [event], (moments.TIMESTAMP, event.timestamp))
    assert evidence is not None
    return build_report(evidence)


def file_report(memory: CachingAllocator, version: Version, folder: Path) -> Report:
    path = folder / "snapshot.pickle"
    path.write_bytes(pickle.dumps(memory.snapshot(version)))
    return build_report(of_snapshot_file(path))


def assert_agree(live: Report, file: Report) -> None:
    """On what was refused, what was held, what for, and why it was refused."""
    (of_live,), (of_file,) = live.traced, file.traced
    one, other = of_live.refusals[-1], of_file.refusals[-1]
    assert structs.replace(one.moment, seconds=None) == structs.replace(other.moment, seconds=None)
    for name in ("requested_size", "stream", "device_free_bytes", "free", "free_elsewhere", "frames", "situations"):
        assert getattr(one, name) == getattr(other, name)
    assert live.request is not None
    assert file.request is not None
    assert live.request.requested_bytes == file.request.requested_bytes
    assert live.cache == file.cache
    assert live.uses == file.uses
    assert live.growth == file.growth
    assert [(told.cause, told.figures) for told in live.causes] == [(told.cause, told.figures) for told in file.causes]


def crowded() -> CachingAllocator:
    memory = CachingAllocator(100 * MIB)
    for _ in range(3):
        memory.alloc(20 * MIB, frames=STACKS[1])
    memory.free(memory.alloc(12 * MIB, pool=(0, 3), frames=STACKS[2]))
    memory.alloc(9 * MIB, pool=(0, 3), frames=STACKS[3])
    return memory


@pytest.mark.parametrize("version", [(2, 1), (2, 2), (2, 5), (2, 10), (2, 12), (2, 15)])
def test_agent_and_file_tell_the_same_of_a_refusal(version: Version, tmp_path: Path) -> None:
    memory = crowded()
    agent = Agent(memory, version)
    agent.refuse(30 * MIB, frames=STACKS[0])
    live = live_report(shipped(agent.told[0]))
    for block in [block for block in memory._blocks() if block.state == "active" and block.key.pool == POOL][1:]:
        memory.free(block.address)  # while the exception unwinds; of pools that are gone, older files do not tell
    file = file_report(memory, version, tmp_path)
    assert_agree(live, file)
    assert live.cause == "shortage"
    assert live.cache is not None
    assert live.cache.usable_bytes == 0


def test_a_note_made_later_tells_what_for_in_both(tmp_path: Path) -> None:
    memory, version = CachingAllocator(100 * MIB), (2, 15)
    held = memory.alloc(20 * MIB, frames=STACKS[1])
    memory.tag = "prefix cache"
    memory._write("annotate", held, 20 * MIB, 0, POOL, [])  # `torch.cuda.memory._annotate_memory`
    memory.tag = ""
    agent = Agent(memory, version)
    agent.refuse(90 * MIB, frames=STACKS[0])
    live = live_report(shipped(agent.told[0]))
    assert_agree(live, file_report(memory, version, tmp_path))
    (share,) = live.traced[0].refusals[-1].moment.by_category
    assert (share.category, share.bytes) == ("prefix cache", 20 * MIB)


def test_fragmentation_is_told_by_both(tmp_path: Path) -> None:
    memory = CachingAllocator(82 * MIB)
    held = [memory.alloc(10 * MIB - 512, frames=STACKS[1]) for _ in range(8)]
    for address in held[::2]:
        memory.free(address)
    agent = Agent(memory, VERSION)
    agent.refuse(30 * MIB)
    live = live_report(shipped(agent.told[0]))
    assert_agree(live, file_report(memory, VERSION, tmp_path))
    assert live.cause == "fragmentation"


@given(memory=allocators().filter(lambda memory: memory.capacity < ROOM_BYTES), program=programs, later=programs)
@settings(max_examples=30)
def test_any_run_is_told_alike(
    memory: CachingAllocator, program: list[tuple[Any, ...]], later: list[tuple[Any, ...]], tmp_path_factory: Any
) -> None:
    perform(memory, program)
    agent = Agent(memory, VERSION)
    agent.refuse(memory.capacity + 1, frames=STACKS[1])
    seen = shipped(agent.told[0])
    perform(memory, later)
    if seen.allocator is None:
        return
    file = file_report(memory, VERSION, tmp_path_factory.mktemp("run"))
    live = live_report(seen)
    place = live.traced[0].refusals[-1].moment.step
    (of_file,) = file.traced
    at_file = next((one for one in of_file.refusals if one.moment.step == place), None)
    if at_file is None:
        assert of_file.refusals_total > len(of_file.refusals) or of_file.replayed < of_file.steps
        return
    at_live = live.traced[0].refusals[-1]
    for name in ("bytes", "requested_bytes", "active_bytes", "reserved_bytes", "by_stack"):
        assert getattr(at_live.moment, name) == getattr(at_file.moment, name)
    assert (at_live.free, at_live.free_elsewhere) == (at_file.free, at_file.free_elsewhere)


def test_what_an_agent_knows_of_tensors_goes_before_stacks(tmp_path: Path) -> None:
    memory = crowded()
    agent = Agent(memory, VERSION)
    agent.refuse(30 * MIB)
    seen = shipped(agent.told[0])
    assert seen.allocator is not None
    blocks = list(seen.allocator.blocks or ())
    blocks[0] = structs.replace(blocks[0], type="weight", type_source="tensor")
    allocator = structs.replace(seen.allocator, blocks=tuple(blocks))
    replayed = replayed_refusal(structs.replace(seen, allocator=allocator), 3)
    assert replayed is not None
    (device,) = replayed.devices
    (parameters,) = [share for share in device.refusals[0].moment.by_category if share.category == "parameters"]
    assert (device.gpu, parameters.bytes, parameters.type_sources) == (3, 20 * MIB, {"tensor": 20 * MIB})


def test_without_a_history_the_free_memory_is_that_for_the_request() -> None:
    memory = crowded()
    agent = Agent(memory, VERSION, records=False)
    memory.entries.clear()
    agent.refuse(30 * MIB)
    seen = shipped(agent.told[0])
    assert [step.action for step in seen.trace] == ["oom"]
    report = live_report(seen)
    assert report.cache is not None
    assert report.cache.unusable == {"private_pool": 3 * MIB}
    assert report.cause == "shortage"


@pytest.mark.parametrize(
    "spoilt",
    [
        {"segments": ()},
        {"block_stacks": (0,)},
        {"block_stacks": (99,) * 7},
        {"trace": ()},
        {"segments": tuple(TraceSegment(place << 47, BYTES_MAX) for place in range(1 << 15))},
    ],
)
def test_what_contradicts_itself_is_left_to_the_blocks(spoilt: dict[str, Any]) -> None:
    agent = Agent(crowded(), VERSION)
    agent.refuse(30 * MIB)
    seen = structs.replace(shipped(agent.told[0]), **spoilt)
    assert replayed_refusal(seen, 0) is None
    assert live_report(seen).cache is not None


def test_an_older_server_gets_the_blocks_and_steps_alone() -> None:
    agent = Agent(crowded(), VERSION)
    agent.refuse(30 * MIB)
    seen = shipped(agent.told[0], reads=())
    assert seen.segments == ()
    assert seen.block_stacks == ()
    assert [step.action for step in seen.trace[-2:]] == ["alloc", "oom"]
    assert b'"segments"' not in to_json(live_report(seen))


@pytest.mark.parametrize("history", [True, False])
def test_a_memory_fraction_that_the_program_was_given_is_named(history: bool) -> None:
    memory = CachingAllocator(100 * MIB)
    program = Agent(memory, VERSION, history, 0.25)
    memory.alloc(60 * MIB, frames=STACKS[1])
    with pytest.raises(RefusedError):
        memory.alloc(80 * MIB)
    program.observe(0, 80 * MIB, 400 * MIB, 340 * MIB)
    (oom,) = program.told
    told = live_report(shipped(oom, (OOM_TRACE, MEMORY_FRACTION)))
    (limit,) = [found for found in told.causes if found.cause == "limit"]
    assert limit.figures["limit_bytes"] == 100 * MIB
    assert "lets it hold 0.25 of the GPU (100.0 MiB), and it had reserved 60.0 MiB" in limit.why[0]
    older = shipped(oom)
    assert older.settings is not None
    assert older.settings.memory_fraction is None


def test_pinned_memory_of_the_host_is_told_as_the_file_tells_it(tmp_path: Path) -> None:
    memory = CachingAllocator(100 * MIB)
    program = Agent(memory, (2, 14))
    memory.alloc(60 * MIB, frames=STACKS[1])
    for size in (5 * MIB, 300):
        program.host.alloc(size)
    program.host.free(program.host.alloc(20))
    program.refuse(80 * MIB)
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(pickle.dumps(memory.snapshot((2, 14)) | program.host.keys()))
    (of_file,) = (note for note in build_report(of_snapshot_file(path)).notes if "pinned" in note)
    (oom,) = program.told
    live = live_report(shipped(oom, (OOM_TRACE, HOST_PINNED)))
    (of_live,) = (note for note in live.notes if "pinned" in note)
    assert (of_file, of_live) == (
        "pinned on the host it held at most 8.0 MiB",
        "pinned on the host it held 8.0 MiB at that moment",
    )
    assert not any("pinned" in note for note in live_report(shipped(oom)).notes)
