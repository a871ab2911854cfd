"""The blocks of a moment as columns say what its snapshot says (`packed_blocks`)."""

from array import array
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from blackbox.merge import Merged, merged, packed_blocks
from blackbox.merge.block_table import table, table_rows
from blackbox.merge.known_blocks import known_blocks
from blackbox.merge.packed_blocks import PackedBlocks
from blackbox.model.block_arrays import ALIGNMENT_BYTES, NO_REQUEST, STATES, TYPES, BlockArrays, ListedBlocks
from blackbox.model.block_table import BLOCK_COLUMNS, BlockTable, LayoutError, decode
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator, AllocatorBlock, OwningStack
from blackbox.sources.simulated.source import SimulatedSource
from tests.block_arrays import OneBlock, Report, reports
from tests.clocks import ManualClock
from tests.moments import GIB, MIB, TRAINER, allocator, device, machine, moment, process, sample
from tests.strategies import moments

MANY = 1_000_000


def table_of(made: Merged, rows_max: int = MANY) -> BlockTable:
    return decode(table(made.snapshot, table_rows(made.rows, rows_max), "now"))


def rows_of(found: BlockTable) -> Iterator[dict[str, Any]]:
    """Every row in the words of a snapshot's block."""
    for part, rows in found.parts():
        columns = {name: found.column(name)[rows].tolist() for name in found.names if name in part.columns}
        for place in range(part.rows):
            row = {name: numbers[place] for name, numbers in columns.items()}
            kind = part.kinds[row["kind"]]
            yield {
                "gpu": part.gpu,
                "pid": part.pid,
                "address": row["address"],
                "size": row["size"],
                "allocated": kind.allocated,
                "utilized": kind.utilized,
                "type": kind.type,
                "subtype": kind.subtype,
                "type_source": kind.type_source,
                "thread_id": row.get("thread") or None,
            } | {name: row[name] for name in ("rounding", "stream") if name in row}


KEYS = ("gpu", "pid", "address", "size", "allocated", "utilized", "type", "subtype", "type_source", "thread_id")


def assert_same(made: Merged, found: BlockTable) -> None:
    told = list(rows_of(found))
    assert len(told) == len(made.snapshot.blocks) == len(found)
    for row, block in zip(told, made.snapshot.blocks, strict=True):
        assert {key: row[key] for key in KEYS} == {key: getattr(block, key) for key in KEYS}
        if block.requested_bytes is not None and "rounding" in row:
            assert row["rounding"] == block.size - block.requested_bytes
        if "stream" in row and block.allocated:
            assert row["stream"] == block.stream


@settings(max_examples=60)
@given(moments(), st.sampled_from([None, 0, 1000]))
def test_columns_and_snapshot_agree_for_every_viewer(seen: Moment, viewer_uid: int | None) -> None:
    made = merged(seen, None, viewer_uid)
    assert_same(made, table_of(made))


@settings(max_examples=40)
@given(reports(), st.sampled_from((1, 3, 50)))
def test_columns_are_the_same_however_many_rows_are_packed_at_a_time(report: Report, rows: int) -> None:
    arrays = report.arrays()
    at_once = PackedBlocks.of(arrays)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_blocks, "FAST_LANES", rows)
        in_runs = PackedBlocks.of(arrays)
    assert in_runs.columns == at_once.columns
    facts = [(len(one), one.first_address, one.kinds) for one in (in_runs, at_once)]
    assert facts[0] == facts[1]


@settings(max_examples=60)
@given(reports())
def test_what_is_known_of_a_report_gives_the_columns_that_its_arrays_give(report: Report) -> None:
    arrays = report.arrays()
    known = known_blocks(ListedBlocks(arrays))
    found = PackedBlocks.of(arrays, known.codes, have_gaps=known.have_gaps)
    plain = PackedBlocks.of(arrays)
    assert (found.columns, found.kinds, found.first_address) == (plain.columns, plain.kinds, plain.first_address)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=400), st.sets(st.integers(1, 399), max_size=2))
def test_blocks_are_without_gaps_where_none_lies_between_them(units: list[int], gaps_before: set[int]) -> None:
    addresses, end = array("Q"), 1 << 40
    for place, unit in enumerate(units):
        end += ALIGNMENT_BYTES if place in gaps_before else 0
        addresses.append(end)
        end += unit * ALIGNMENT_BYTES
    sizes, zeros = array("Q", [unit * ALIGNMENT_BYTES for unit in units]), array("B", bytes(len(units)))
    known = known_blocks(ListedBlocks(BlockArrays(addresses, sizes, zeros, zeros, zeros, ((None, None),))))
    assert known.have_gaps == any(place < len(units) for place in gaps_before)


def test_more_kinds_than_a_byte_tells_are_told() -> None:
    labels = tuple((f"kind {place}", None) for place in range(256))
    rows = range(512)
    arrays = BlockArrays(
        array("Q", [place * MIB for place in rows]),
        array("Q", [MIB] * len(rows)),
        array("B", [place % len(STATES) for place in rows]),
        array("B", bytes(len(rows))),
        array("B", [place // 2 for place in rows]),
        labels,
    )
    found = PackedBlocks.of(arrays)
    low, high = found.columns["kind"]
    for place, kind in enumerate(found.kinds[low + 256 * high] for low, high in zip(low, high, strict=True)):
        assert (kind.subtype, kind.utilized) == (f"kind {place // 2}", STATES[place % len(STATES)] == "active")


def test_a_live_block_that_does_not_tell_its_request_leaves_the_column_out_though_a_free_one_does() -> None:
    live, free = (OneBlock(0, 1, STATES.index(state), 0, 0, None, 0, 0) for state in ("active", "inactive"))
    asked = free._replace(requested=100)
    assert "rounding" not in PackedBlocks.of(Report((live, asked)).arrays()).columns
    assert "rounding" in PackedBlocks.of(Report((live._replace(requested=100), free)).arrays()).columns


def test_the_demo_tells_stacks_segments_pools_and_times() -> None:
    clock = ManualClock(1_000.0)
    source = SimulatedSource(clock, lambda: 1_800_000_000.0)
    made = merged(moment(source.sample()))
    found = table_of(made)
    assert_same(made, found)
    assert set(found.names) == set(BLOCK_COLUMNS)
    named: set[str | None] = set()
    for part, rows in found.parts():
        if part.source is None:
            continue
        for stack, born in zip(found.column("stack")[rows], found.column("allocated_ms")[rows], strict=True):
            if stack:
                named.add(part.stacks[stack - 1].frames[0])
                assert 0 < born <= 1_800_000_000_000
        addresses, segments = found.column("address")[rows], found.column("segment")[rows]
        assert all(segment <= address for address, segment in zip(addresses, segments, strict=True))
    assert len(named) > 3


def test_blocks_of_a_stack_sum_to_what_the_stack_holds() -> None:
    source = SimulatedSource(ManualClock(5.0), lambda: 1_800_000_000.0)
    found = table_of(merged(moment(source.sample())))
    for part, rows in found.parts():
        if not part.stacks:
            continue
        held = [0] * len(part.stacks)
        for stack, size, kind in zip(*(found.column(name)[rows] for name in ("stack", "size", "kind")), strict=True):
            if stack and part.kinds[kind].utilized:
                held[stack - 1] += size
        assert held == [one.allocated_bytes for one in part.stacks]


def arrays_of(one: Allocator) -> BlockArrays:
    blocks = one.blocks or ()
    return BlockArrays(
        array("Q", [block.address for block in blocks]),
        array("Q", [block.size for block in blocks]),
        array("B", [STATES.index(block.state) for block in blocks]),
        array("B", [TYPES.index(block.type) for block in blocks]),
        array("B", range(len(blocks))),
        tuple((block.subtype, block.type_source) for block in blocks),
        requested=array("Q", [NO_REQUEST if b.requested_bytes is None else b.requested_bytes for b in blocks]),
        thread=array("I", [block.thread_id or 0 for block in blocks]),
    )


def test_blocks_that_come_with_arrays_are_told_by_these() -> None:
    plain = allocator()
    with_arrays = structs.replace(plain, blocks=ListedBlocks(arrays_of(plain)))
    seen = [
        merged(moment(sample((device(0),), (process(TRAINER),), allocators=(one,)))) for one in (plain, with_arrays)
    ]
    for made in seen:
        assert_same(made, table_of(made))
    assert "rounding" in table_of(seen[1]).names


@pytest.mark.parametrize("addresses", [(5 * GIB, GIB, 9 * GIB), (0, 0, 0), (2**63, 0, 5)])
def test_addresses_that_do_not_grow_are_told_as_they_are(addresses: tuple[int, ...]) -> None:
    blocks = tuple(AllocatorBlock(address, MIB, "active") for address in addresses)
    one = allocator(blocks=blocks, reserved_bytes=3 * MIB, allocated_bytes=3 * MIB, threads=None)
    found = table_of(merged(moment(sample((device(0),), (process(TRAINER, used_bytes=3 * MIB),), allocators=(one,)))))
    assert found.column("address").tolist() == list(addresses)


def test_what_is_over_the_most_rows_is_cut_and_counted() -> None:
    made = merged(moment(machine()))
    found = table_of(made, 3)
    assert len(found) == 3
    assert found.head.rows_omitted == len(made.snapshot.blocks) - 3


def test_what_has_not_changed_is_left_out_and_joined_again() -> None:
    still, moving = allocator(TRAINER), allocator(TRAINER + 5)
    processes = (process(TRAINER, used_bytes=5 * GIB), process(TRAINER + 5, used_bytes=5 * GIB))

    def made_of(*allocators: Allocator) -> Merged:
        return merged(moment(sample((device(0),), processes, allocators=allocators)))

    first, second = made_of(still, moving), made_of(still, structs.replace(moving, blocks=(moving.blocks or ())[::-1]))
    old = table_rows(first.rows, MANY)
    before = decode(table(first.snapshot, old, "1"))
    body = table(second.snapshot, table_rows(second.rows, MANY), "2", "1", old.versions)
    assert len(body) < len(table(second.snapshot, table_rows(second.rows, MANY), "2"))
    now = decode(body, before)
    assert_same(second, now)
    assert [part.same for part in now.head.parts] == [True, True, False, True]
    for wrong in (None, now):
        with pytest.raises(LayoutError, match="since"):
            decode(body, wrong)


def test_stacks_of_another_order_keep_their_blocks() -> None:
    stacks = (OwningStack(("a.py:1 f",), 2 * GIB, 1, id=7), OwningStack(("b.py:2 g",), GIB, 1, id=3))
    weight, gap, activation = allocator().blocks or ()
    blocks = (structs.replace(weight, stack=7), gap, structs.replace(activation, stack=3))
    one = allocator(blocks=blocks, stacks=stacks[::-1])
    found = table_of(merged(moment(sample((device(0),), (process(TRAINER),), allocators=(one,)))))
    part, rows = next(found.parts())
    named = [part.stacks[place - 1].frames[0] if place else None for place in found.column("stack")[rows]]
    assert named == ["a.py:1 f", None, "b.py:2 g"]
