"""What agents say survives the wire; whatever else arrives is refused, in bounded time and memory."""

import json
import random
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox.sources.agents.decode import Columns, OomMessage, ReportMessage, decode
from blackbox.sources.agents.history import NAME_CHARS_MAX, SCOPES_MAX, SEGMENTS_MAX
from blackbox.wire import Frame, FrameKind, Unpacker, WireError
from blackbox.wire.message import (
    BLOCKS_MAX,
    COLUMNS,
    OOM_HEADER_BYTES_MAX,
    REPORT_HEADER_BYTES_MAX,
    pack_goodbye,
    pack_hello,
    pack_oom,
    pack_report,
    pack_welcome,
    read_welcome,
    split,
)
from blackbox.wire.ranges import ADDRESS_MAX, BYTES_MAX
from blackbox.wire.report import (
    ALLOCATOR_LIMIT,
    BLOCK_ORIGINS,
    HOST_PINNED,
    MEMORY_FRACTION,
    NO_STACK,
    NOT_KNOWN,
    OOM_TRACE,
    AllocatorSettings,
    BlockColumns,
    Goodbye,
    KernelReport,
    KvLayout,
    KvPiece,
    OwnerThread,
    Report,
    ScopeEdge,
    SegmentRow,
    TraceStep,
)
from tests.agent_messages import COST, HELLO, OOM, ORIGINAL, ORIGINS, TRACED_OOM, WHOLE, allocator, blocks, report
from tests.mutations import mutated

MUTATIONS = 100_000
GIB = 1 << 30


def frame(packed: bytes) -> Frame:
    (one,) = Unpacker().feed(packed)
    return one


def test_a_report_arrives_as_it_was_said() -> None:
    told = decode(frame(pack_report(WHOLE, COST)))
    assert isinstance(told, ReportMessage)
    bare = WHOLE._replace(allocators=tuple(one._replace(blocks=None) for one in WHOLE.allocators))
    assert told.report == bare
    assert told.cost == COST
    columns, nothing = told.blocks
    assert nothing is None
    assert as_lists(columns) == as_lists(blocks())


def test_where_each_block_is_from_arrives_where_the_daemon_reads_it() -> None:
    told = decode(frame(pack_report(ORIGINAL, COST, (BLOCK_ORIGINS,))))
    assert isinstance(told, ReportMessage)
    assert as_lists(told.blocks[0]) == as_lists(ORIGINS)
    before = report(ORIGINAL.allocators[0]._replace(blocks=blocks()))
    assert pack_report(ORIGINAL, COST) == pack_report(before, COST), "as it always was"
    refused = OOM._replace(allocator=allocator(ORIGINS._replace(stack=None)))
    assert pack_oom(refused, (OOM_TRACE,)) == pack_oom(OOM, (OOM_TRACE,))
    failed = decode(frame(pack_oom(refused, (OOM_TRACE, BLOCK_ORIGINS))))
    assert isinstance(failed, OomMessage)
    assert as_lists(failed.blocks) == as_lists(ORIGINS._replace(stack=None))


def test_what_an_allocator_lets_its_program_hold_arrives_where_the_daemon_reads_it() -> None:
    sent = report(allocator(limit_bytes=GIB))
    told = decode(frame(pack_report(sent, COST, (ALLOCATOR_LIMIT,))))
    assert isinstance(told, ReportMessage)
    assert told.report.allocators[0].limit_bytes == GIB
    assert pack_report(sent, COST) == pack_report(report(allocator()), COST), "as it always was"
    text, _ = split(frame(pack_report(sent, COST)).payload, REPORT_HEADER_BYTES_MAX)
    (bare,) = json.loads(text)[0][2]
    assert len(bare) == 10
    refused = OOM._replace(allocator=allocator(limit_bytes=GIB))
    failed = decode(frame(pack_oom(refused, (OOM_TRACE, ALLOCATOR_LIMIT))))
    assert isinstance(failed, OomMessage)
    assert failed.header.oom.allocator == allocator(limit_bytes=GIB)
    assert pack_oom(refused) == pack_oom(OOM._replace(allocator=allocator()))
    with pytest.raises(WireError):
        decode(frame(pack_report(report(allocator(limit_bytes=-1)), COST, (ALLOCATOR_LIMIT,))))


@pytest.mark.parametrize(
    "changes", [{"stack": [0, 1, 0]}, {"starts": [0, 1, 0]}, {"starts": [1, 2, 0]}, {"allocated_ms": [0, 0, 1 << 60]}]
)
def test_where_no_block_can_be_from_is_refused(changes: dict[str, list[int]]) -> None:
    sent = report(ORIGINAL.allocators[0]._replace(blocks=ORIGINS._replace(**changes)))
    with pytest.raises(WireError):
        decode(frame(pack_report(sent, COST, (BLOCK_ORIGINS,))))


def test_a_report_of_as_many_blocks_as_there_may_be_fits_a_frame() -> None:
    many = [0] * BLOCKS_MAX
    full = BlockColumns(*[many] * 8, stack=many, starts=[1] * BLOCKS_MAX, pool=many, allocated_ms=many)
    told = decode(frame(pack_report(report(ORIGINAL.allocators[0]._replace(blocks=full)), COST, (BLOCK_ORIGINS,))))
    assert isinstance(told, ReportMessage)


def test_an_oom_arrives_as_it_was_said() -> None:
    told = decode(frame(pack_oom(OOM)))
    assert isinstance(told, OomMessage)
    assert told.header.oom == OOM._replace(allocator=allocator())
    assert as_lists(told.blocks) == as_lists(blocks())


def test_all_that_a_trace_is_replayed_with_arrives_where_the_daemon_reads_it() -> None:
    told = decode(frame(pack_oom(TRACED_OOM, (OOM_TRACE,))))
    assert isinstance(told, OomMessage)
    assert told.header.oom == TRACED_OOM._replace(allocator=allocator())
    assert told.blocks is not None
    assert list(told.blocks.stack or ()) == [1, NO_STACK, 0]


def test_pinned_memory_of_the_host_arrives_where_the_daemon_reads_it() -> None:
    sent = TRACED_OOM._replace(host_pinned_bytes=GIB)
    told = decode(frame(pack_oom(sent, (OOM_TRACE, HOST_PINNED))))
    assert isinstance(told, OomMessage)
    assert told.header.oom.host_pinned_bytes == GIB
    assert pack_oom(sent, (OOM_TRACE,)) == pack_oom(TRACED_OOM, (OOM_TRACE,)), "as it always was"
    text, _ = split(frame(pack_oom(sent, (OOM_TRACE,))).payload, OOM_HEADER_BYTES_MAX)
    assert len(json.loads(text)[0]) == 15
    with pytest.raises(WireError):
        decode(frame(pack_oom(sent._replace(host_pinned_bytes=-1), (OOM_TRACE, HOST_PINNED))))


def test_a_daemon_that_does_not_say_so_gets_what_it_always_got() -> None:
    text, columns = split(frame(pack_oom(TRACED_OOM)).payload, OOM_HEADER_BYTES_MAX)
    oom, (rows, names, _labels) = json.loads(text)
    assert [len(oom), *map(len, oom[9])] == [12, 6, 6]
    assert (rows, "stack" in names) == (3, False)
    assert len(columns) == rows * sum(array(COLUMNS[name]).itemsize for name in names)
    told = decode(frame(pack_oom(TRACED_OOM)))
    assert isinstance(told, OomMessage)
    assert told.header.oom.trace == OOM.trace


@given(steps=st.integers(0, 20_000), stacks=st.integers(1, 1_000), depth=st.integers(1, 70), reads=st.booleans())
@settings(max_examples=15)
def test_what_does_not_fit_is_left_out_and_the_rest_still_belongs_together(
    steps: int, stacks: int, depth: int, reads: bool
) -> None:
    lines = [
        tuple(f"/app/file{place % 7}.py:{place} function{level}" for level in range(depth)) for place in range(stacks)
    ]
    trace = tuple(TraceStep("alloc", 1 << 46, 512, 0, 1 << 50, place % stacks) for place in range(steps))
    columns = blocks()._replace(stack=[0, NO_STACK, stacks - 1])
    sent = TRACED_OOM._replace(trace=trace, stacks=tuple(lines), allocator=allocator(columns))
    told = decode(frame(pack_oom(sent, (OOM_TRACE,) if reads else ())))
    assert isinstance(told, OomMessage)
    oom = told.header.oom
    assert [step[:5] for step in oom.trace] == [step[:5] for step in trace[len(trace) - len(oom.trace) :]]
    for kept, step in zip(reversed(oom.trace), reversed(trace), strict=False):
        assert kept.stack is None or oom.stacks[kept.stack] == lines[step.stack or 0][: len(oom.stacks[kept.stack])]
    if oom.stacks and told.blocks is not None and told.blocks.stack is not None:
        assert oom.stacks[told.blocks.stack[0]] == lines[0][: len(oom.stacks[told.blocks.stack[0]])]


def test_stacks_that_do_not_fit_lose_their_outermost_frames_and_keep_their_steps() -> None:
    lines = [tuple(f"/app/file.py:{place} {'f' * 60}{level}" for level in range(64)) for place in range(400)]
    trace = tuple(TraceStep("alloc", 1 << 46, 512, 0, 1 << 50, place % 400) for place in range(5000))
    told = decode(frame(pack_oom(TRACED_OOM._replace(trace=trace, stacks=tuple(lines)), (OOM_TRACE,))))
    assert isinstance(told, OomMessage)
    assert (len(told.header.oom.trace), {len(stack) for stack in told.header.oom.stacks}) == (5000, {16})


def test_a_welcome_arrives_and_an_odd_one_promises_nothing() -> None:
    every = (OOM_TRACE, BLOCK_ORIGINS, MEMORY_FRACTION, ALLOCATOR_LIMIT, HOST_PINNED)
    assert read_welcome(frame(pack_welcome()).payload).reads == every
    assert read_welcome(b'[["oom_trace","more"],1]').reads == (OOM_TRACE, "more")
    for odd in (b"", b"[]", b"1", b"[1]", b"\xff"):
        assert read_welcome(odd).reads == ()


def test_hello_and_goodbye_arrive() -> None:
    assert decode(frame(pack_hello(HELLO))) == HELLO
    assert decode(frame(pack_goodbye())) == Goodbye()
    assert decode(frame(pack_goodbye(Goodbye("ValueError")))) == Goodbye("ValueError")


@given(st.lists(st.integers(0, 3), max_size=5), st.booleans())
def test_any_number_of_allocators_with_any_number_of_blocks_arrives(rows: list[int], thin: bool) -> None:
    columns = [BlockColumns([0] * count, [1] * count, [0] * count) if thin else blocks(count) for count in rows]
    sent = report(*(allocator(one, gpu_uuid=f"GPU-{place}") for place, one in enumerate(columns)))
    told = decode(frame(pack_report(sent, COST)))
    assert isinstance(told, ReportMessage)
    assert [len(one.address) for one in told.blocks if one] == rows


def test_the_oldest_steps_of_a_long_trace_stay_behind() -> None:
    steps = tuple(TraceStep("alloc", number, 512, 0, 1_700_000_000_000_000, 0) for number in range(100_000))
    packed = pack_oom(OOM._replace(trace=steps))
    told = decode(frame(packed))
    assert isinstance(told, OomMessage)
    assert len(packed) < OOM_HEADER_BYTES_MAX + 4096
    kept = told.header.oom.trace
    assert 1000 < len(kept) < len(steps)
    assert kept == steps[-len(kept) :]


def test_odd_text_does_not_cut_the_agent_off() -> None:
    odd = report(allocator(threads=(OwnerThread(1, 0, "lone \udc80 surrogate"),)))
    assert isinstance(decode(frame(pack_report(odd, COST))), ReportMessage)


@pytest.mark.parametrize(
    "said",
    [
        report(allocator(blocks()._replace(size=[1]))),
        report(allocator(blocks(BLOCKS_MAX + 1))),
        report(allocator(unknown={"blocks": "x" * REPORT_HEADER_BYTES_MAX})),
    ],
    ids=["uneven columns", "too many blocks", "too long a header"],
)
def test_what_the_daemon_would_refuse_is_not_sent(said: Report) -> None:
    with pytest.raises(WireError):
        pack_report(said, COST)


REFUSED: dict[str, Callable[[], bytes]] = {
    "bytes below 0": lambda: pack_report(report(allocator(reserved_bytes=-1)), COST),
    "bytes beyond all memory": lambda: pack_report(report(allocator(reserved_bytes=BYTES_MAX + 1)), COST),
    "a number beyond JSON": lambda: pack_report(report(allocator(reserved_bytes=10**40)), COST),
    "a state that is not known": lambda: pack_report(report(allocator(blocks()._replace(state=[9] * 3))), COST),
    "a type that is not known": lambda: pack_report(report(allocator(blocks()._replace(type=[9] * 3))), COST),
    "a label that is not there": lambda: pack_report(report(allocator(blocks()._replace(label=[2] * 3))), COST),
    "a block too large": lambda: pack_report(report(allocator(blocks()._replace(size=[NOT_KNOWN] * 3))), COST),
    "a device twice": lambda: pack_report(report(allocator(), allocator()), COST),
    "too many devices": lambda: pack_report(report(*(allocator(gpu_uuid=str(n)) for n in range(65))), COST),
    "too many keys": lambda: pack_report(report(allocator(unknown={str(n): "" for n in range(33)})), COST),
    "a nameless source": lambda: pack_report(report(source=""), COST),
    "a terminal's command as source": lambda: pack_report(report(source="\x1b[2J"), COST),
    "a terminal's command as device": lambda: pack_report(report(allocator(gpu_uuid="\x1b[2J")), COST),
    "occupancy of 101": lambda: pack_report(report(kernels=(KernelReport("process", occupancy=101.0),)), COST),
    "an unknown scope": lambda: pack_report(report(kernels=(KernelReport("galaxy"),)), COST),  # pyright: ignore
    "pages that overflow": lambda: pack_report(
        report(kv_layouts=(KvLayout("0", "GPU-0", (), 9, (KvPiece(1 << 62, 1 << 60, 1),)),)), COST
    ),
    "a thread beyond the kernel's": lambda: pack_report(report(allocator(threads=(OwnerThread(1 << 31, 0),))), COST),
    "a step without its stack": lambda: pack_oom(OOM._replace(stacks=())),
    "a block without its stack": lambda: refused(allocator=allocator(blocks()._replace(stack=[0, 0, 2]))),
    "too many segments": lambda: refused(segments=TRACED_OOM.segments * (SEGMENTS_MAX + 1)),
    "a segment below 0": lambda: refused(segments=(SegmentRow(0, -1),)),
    "a segment too far": lambda: refused(segments=(SegmentRow(ADDRESS_MAX, 1),)),
    "too long a scope": lambda: refused(scopes=(ScopeEdge("x" * (NAME_CHARS_MAX + 1), "START", 1),)),
    "too many scopes": lambda: refused(scopes=TRACED_OOM.scopes * (SCOPES_MAX + 1)),
    "too many divisions": lambda: refused(settings=AllocatorSettings(divisions=(0,) * 65)),
    "a pool below 0": lambda: refused(trace=(TraceStep("alloc", 0, 0, pool=(0, -1)),)),
    "a goodbye with more": lambda: pack_goodbye()[:8] + b"\1\0\0\0x",
    "a negative pid": lambda: pack_hello(HELLO._replace(pid=-1)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_values_out_of_range_are_refused(name: str) -> None:
    one = frame(REFUSED[name]())
    with pytest.raises(WireError):
        decode(one)


@pytest.mark.parametrize("kind", [FrameKind.REQUEST, FrameKind.SAMPLE, 0, 65535])
def test_kinds_that_no_agent_sends_are_refused(kind: int) -> None:
    with pytest.raises(WireError, match="no agent sends"):
        decode(Frame(kind, b""))


@pytest.mark.parametrize("kind", [FrameKind.HELLO, FrameKind.REPORT, FrameKind.OOM])
@pytest.mark.parametrize(
    "text",
    [b"", b"[" * 100_000, b"{", b'"\xff"', b"null", b"[" + b"9" * 5000 + b"]", json.dumps([[]] * 50_000).encode()],
)
def test_headers_that_are_no_such_json_are_refused(kind: FrameKind, text: bytes) -> None:
    payload = text if kind == FrameKind.HELLO else len(text).to_bytes(4, "little") + text
    with pytest.raises(WireError):
        decode(Frame(kind, payload))


@given(st.sampled_from(list(FrameKind)), st.binary(max_size=300))
def test_any_payload_gives_a_message_or_is_refused(kind: FrameKind, payload: bytes) -> None:
    try:
        decode(Frame(kind, payload))
    except WireError:
        return


@pytest.mark.fault(36)
def test_row_36_mutated_frames_give_a_message_or_are_refused() -> None:
    seeds = [pack_report(WHOLE, COST), pack_oom(OOM), pack_hello(HELLO), pack_goodbye()]
    refused = sum(_is_refused(data) for data in mutated(random.Random(36), seeds, MUTATIONS))
    assert MUTATIONS / 4 < refused < MUTATIONS


def _is_refused(data: bytes) -> bool:
    try:
        for one in Unpacker().feed(data):
            decode(one)
    except WireError:
        return True
    return False


def refused(**changes: Any) -> bytes:
    return pack_oom(TRACED_OOM._replace(**changes), (OOM_TRACE,))


def as_lists(columns: BlockColumns | Columns | None) -> list[list[Any] | None]:
    assert columns is not None
    return [None if column is None else [*column] for column in columns]
