"""A trace is gone through by compiled code as by Python alone: honest columns, and whatever a file may hold."""

from array import array
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.trace import roll_forward
from blackbox.analysis.trace.bands import HeldBlocks
from blackbox.analysis.trace.entries import ALLOC, FREE_REQUESTED, Trace
from blackbox.analysis.trace.passes import PLAIN, Alike, Passes
from blackbox.analysis.trace.replay import Replay, instants, replay
from blackbox.analysis.trace.timeline import lives
from blackbox.sources.memory_snapshot.compiled import passes as compiled_passes
from blackbox.sources.memory_snapshot.compiled.address_map import AddressMap
from blackbox.sources.memory_snapshot.compiled.passes import CompiledPasses
from blackbox.sources.memory_snapshot.traces import DeviceTrace, read_traces
from tests.caching_allocator import MIB, VERSIONS, CachingAllocator, Version
from tests.compiled_entries import compiled_library
from tests.traced_programs import allocators, perform, programs

changes = st.lists(
    st.tuples(
        st.sampled_from(("action", "address", "size")),
        st.integers(0, 1 << 16),
        st.one_of(st.integers(0, 9), st.integers(0, 30 * MIB), st.sampled_from([1 << 45, (1 << 63) - 1, 1 << 62])),
    ),
    max_size=3,
)
"""(column, which entry, what it holds instead)."""


@pytest.fixture(scope="module")
def compiled() -> CompiledPasses:
    return CompiledPasses(compiled_library())


def told(device: DeviceTrace, passes: Passes) -> Any:
    """All of a replay; where there is none, why."""
    try:
        run = replay(device.trace, device.end, device.rules, passes)
    except (ArithmeticError, LookupError, ValueError) as error:
        return type(error), str(error)
    return as_plain(run)


def as_plain(run: Replay) -> dict[str, Any]:
    start = run.start._asdict() | {"segments": run.start.segments.at}
    columns = ("block", "size", "allocated", "active", "reserved", "freed", "completed")
    said = run._asdict() | {"start": start, "passes": None} | {name: list(getattr(run, name)) for name in columns}
    return (
        said
        | {"lives": list(lives(run, range(0, run.steps + 1, 3))), "instants": list(told_instants(run))}
        | {
            "extremes": {*run.passes.extremes(run.allocated, 7)},
            "in_order": run.has_order_of_time(),
            "pairs": told_pairs(run),
        }
    )


def told_pairs(run: Replay) -> Any:
    action, stack = run.trace.action, array("i", run.trace.stack)
    pairs, pair_of = run.passes.pairs(action, run.trace.address, stack)
    return list(pairs), [pair_of[place] for place in run.trace.places_of(FREE_REQUESTED)]


def told_instants(run: Replay) -> Iterable[Any]:
    for one in instants(run, sorted({0, run.steps // 3, run.steps // 2, run.steps})):
        yield one._replace(segments=one.segments.at)  # type: ignore[arg-type]


def changed(trace: Trace, changes: Iterable[tuple[str, int, int]]) -> Trace:
    """With other values in some of its columns."""
    action, address, size = bytearray(trace.action), array("q", trace.address), array("q", trace.size)
    for column, place, value in changes if trace.steps else ():
        if column == "action":
            action[place % trace.steps] = value % 10
        else:
            (address if column == "address" else size)[place % trace.steps] = value
    return trace._replace(action=bytes(action), address=address, size=size)


@given(allocators(), programs, programs, st.sampled_from(VERSIONS), st.integers(0, 200), changes)
def test_a_replay_is_the_same_by_compiled_code(
    compiled: CompiledPasses,
    allocator: CachingAllocator,
    before: list[tuple[Any, ...]],
    program: list[tuple[Any, ...]],
    version: Version,
    kept: int,
    changes: list[tuple[str, int, int]],
) -> None:
    perform(allocator, before + program)
    allocator.keep_last(kept)
    for device in read_traces(allocator.snapshot(version)).devices:
        one = device._replace(trace=changed(device.trace, changes))
        assert told(one, compiled) == told(one, PLAIN)


def trained(steps: int, odd: int) -> DeviceTrace:
    """Of an allocator that cuts one allocation in `odd` from a free range whose rest stays with it."""
    memory = CachingAllocator(1 << 40)
    for step in range(steps):
        first, second = memory.alloc(5 * MIB), memory.alloc(MIB + (MIB // 2 if step % odd else MIB // 4))
        memory.free(first)
        memory.free(second, later=step % 3 == 0)
    (device,) = read_traces(memory.snapshot((2, 10))).devices
    return device


def test_plain_entries_are_left_to_it(compiled: CompiledPasses, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a training, Python sees what happens for the first time."""
    device = trained(500, 5)
    whole = told(device, PLAIN)
    seen = list[int]()
    entries = roll_forward.Forward.entries

    def counted(run: roll_forward.Forward, first: int, last: int | None = None) -> Any:
        seen.extend(range(first, run.trace.steps if last is None else last))
        return entries(run, first, last)

    monkeypatch.setattr(roll_forward.Forward, "entries", counted)
    assert told(device, compiled) == whole
    assert 0 < len(seen) < device.trace.steps / 20


def test_a_trace_of_which_python_does_most_is_left_to_it(
    compiled: CompiledPasses, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = trained(100, 2)
    whole = told(device, PLAIN)
    monkeypatch.setattr(compiled_passes, "OTHERS_MIN", 0)
    monkeypatch.setattr(compiled_passes, "PLAIN_PER_OTHER", 1 << 20)
    assert told(device, compiled) == whole


def test_what_frees_a_block_is_told_of_each(compiled: CompiledPasses) -> None:
    device = trained(50, 5)
    trace = device.trace
    for passes in (PLAIN, compiled):
        run = replay(trace, device.end, device.rules, passes)
        frees = {run.block[place]: place for place in trace.places_of(FREE_REQUESTED)}
        made = trace.places_of(ALLOC)
        assert [run.freed[block] for block in made] == [frees.get(block, trace.steps) for block in made]


def test_more_pairs_of_stacks_than_have_room_are_left_to_python(
    compiled: CompiledPasses, monkeypatch: pytest.MonkeyPatch
) -> None:
    action, address = bytes([ALLOC, FREE_REQUESTED]) * 9, array("q", [512]) * 18
    stack = array("i", range(18))
    for room in (8, 9):
        monkeypatch.setattr(compiled_passes, "PAIRS_MAX", room)
        assert compiled.pairs(action, address, stack) == PLAIN.pairs(action, address, stack)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(-2, 30)), max_size=100),
    st.sets(st.integers(0, 9), max_size=3),
    st.sampled_from("iB"),
    st.integers(0, 50),
)
def test_what_is_told_of_a_number_is_asked_for_once_in_order(
    compiled: CompiledPasses, entries: list[tuple[int, int]], codes: set[int], width: str, first: int
) -> None:
    action, column = bytes(code for code, _ in entries), array("i", [number for _, number in entries])
    first = min(first, len(entries))

    def told(passes: Passes) -> Any:
        found, asked = array(width, [0]) * len(action), list[int]()

        def tell(number: int) -> int:
            asked.append(number)
            return (number + 3) * 7

        passes.told(action, codes, column, tell, found, first)
        return found, asked

    assert told(compiled) == told(PLAIN)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(1, 5), st.sampled_from([0, 512, MIB, (1 << 62)]), st.integers(0, 3)),
        max_size=40,
    ),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
    st.integers(14, 20),
)
def test_what_bands_hold_is_the_same(
    compiled: CompiledPasses, blocks: list[tuple[int, int, int, int]], band: list[int], points: int
) -> None:
    """Also where sums are out of the bounds of compiled code, and of what is held to the end."""
    since, size, kinds = (
        array(code, [block[place] for block in blocks]) for code, place in (("i", 0), ("q", 2), ("i", 3))
    )
    until = array("i", [min(points, block[0] + block[1]) for block in blocks])
    held = HeldBlocks(array("q", range(len(blocks))), since, until)

    def told(passes: Passes) -> Any:
        sums = passes.sums(held, size, kinds, 4, points)
        return list(sums.most()), list(sums.bands(band, 3))

    assert told(compiled) == told(PLAIN)


@given(
    st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 7), st.integers(1, 50)), min_size=1, max_size=40),
    st.integers(0, 40),
    st.frozensets(st.integers(0, 7), max_size=2),
    st.integers(0, 40),
    st.booleans(),
)
def test_blocks_are_alike_by_the_same_clues(
    compiled: CompiledPasses,
    entries: list[tuple[int, int, int]],
    until: int,
    alone: frozenset[int],
    begun: int,
    with_codes: bool,
) -> None:
    steps = len(entries)
    stack = array("i", [entry[0] for entry in entries])
    freed = array("q", [min(steps, place + entry[2]) for place, entry in enumerate(entries)])
    blocks = array("q", range(0, steps + 3, 2))
    codes = bytes(entry[1] for entry in entries) if with_codes else None
    clues = Alike(min(until, steps), stack, codes, alone, freed, begun)
    ours, plain = compiled.alike(blocks, clues), PLAIN.alike(blocks, clues)
    assert (list(ours.first), ours.kind) == (list(plain.first), plain.kind)
    table = [number * 3 for number in range(len(plain.first))]
    assert compiled.renumbered(ours.kind, table) == PLAIN.renumbered(plain.kind, table)
    assert [blocks[list(ours.kind).index(kind)] for kind in range(len(ours.first))] == list(ours.first)


@given(st.lists(st.integers(-3, 1 << 62), max_size=30), st.booleans())
def test_what_is_said_of_a_column_is_the_same(compiled: CompiledPasses, numbers: list[int], in_order: bool) -> None:
    column = array("q", sorted(numbers) if in_order else numbers)
    for passes in (compiled, PLAIN):
        if numbers:
            assert passes.highest(column) == list(column).index(max(numbers))
        assert passes.ascend(column) == (list(column) == sorted(numbers))
        assert passes.has_negative(column) == any(number < 0 for number in numbers)


@given(st.lists(st.tuples(st.sampled_from("spgr"), st.integers(0, 300), st.integers(-9, 9)), max_size=400))
def test_a_map_holds_what_a_dict_holds(steps: list[tuple[str, int, int]]) -> None:
    ours, plain = AddressMap(compiled_library(), {}), dict[int, int]()
    for what, key, value in steps:
        key <<= key % 40  # far apart, as addresses are
        if what == "s":
            ours[key] = plain[key] = value
        elif what == "p":
            assert ours.pop(key, None) == plain.pop(key, None)
        elif what == "g":
            assert (ours.get(key), key in ours, len(ours)) == (plain.get(key), key in plain, len(plain))
        elif value > 8:
            ours.clear()
            plain.clear()
    assert ours.plain() == dict(ours) == plain


@pytest.mark.parametrize("blocks", [2, 3, 4])
def test_sums_that_are_out_of_its_bounds_are_left_to_python(compiled: CompiledPasses, blocks: int) -> None:
    """Compiled code keeps below 1 << 62, columns below 1 << 63."""
    places, sizes = array("q", range(blocks)), array("q", [1 << 61]) * blocks
    trace = Trace(bytes([ALLOC]) * blocks, places, places, places, places)
    run: Any = SimpleNamespace(trace=trace, start=SimpleNamespace(first=0), block=places, size=sizes)

    def levels(passes: Passes) -> Any:
        try:
            return list(passes.levels(run, (0, 0, 0)).allocated)
        except OverflowError:
            return None

    assert levels(compiled) == levels(PLAIN) == (None if blocks == 4 else [place << 61 for place in range(blocks + 1)])
