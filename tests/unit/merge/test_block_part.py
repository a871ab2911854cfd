"""Blocks that are held as arrays are counted, summed up and put into words as rows of them would be, whatever was
kept of reports before (`known_blocks`, `block_texts`, `moment_blocks`)."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from blackbox.merge import Merged, known_blocks, merged
from blackbox.merge.block_part import BlockPart
from blackbox.merge.known_blocks import AddressRange, BlockSum, KnownBlocks, KnownChunk
from blackbox.model.block_arrays import ALIGNMENT_BYTES, BlockArrays, ListedBlocks
from blackbox.model.codec import to_json
from blackbox.model.moment import Moment
from blackbox.model.view import ShapeDetail, with_blocks
from tests.block_arrays import OneBlock, Report, changed, reports
from tests.moments import MIB, allocator, device, moment, process, sample

PIDS = (700, 700 + ALIGNMENT_BYTES, 701)
"""The ids of the first two are told apart by their addresses alone."""
DETAILS: tuple[ShapeDetail, ...] = ("full", "none", "summary", "stacks")


def told(programs: list[tuple[int, BlockArrays]], *, as_rows: bool) -> Moment:
    reported = tuple(
        allocator(
            pid,
            reserved_bytes=sum(arrays.size),
            allocated_bytes=0,
            blocks=arrays.rows() if as_rows else ListedBlocks(arrays),
            threads=None,
            stacks=None,
        )
        for pid, arrays in programs
    )
    listed = [process(pid, used_bytes=sum(arrays.size) + pid % 2 * MIB) for pid, arrays in programs]
    return moment(sample((device(0),), (*listed, process(4, used_bytes=MIB)), allocators=reported))


def assert_same(made: Merged, rows: Merged) -> None:
    """As JSON in every shape, of any number of blocks, and as a snapshot."""
    assert made.snapshot == rows.snapshot
    for detail in DETAILS:
        for blocks_max in (0, 177, 10**6) if detail == "full" else (10,):
            want = to_json(with_blocks(rows.snapshot, detail, blocks_max))
            assert b"".join(made.json_pieces(detail, blocks_max)) == want
            assert to_json(made.shaped(detail, blocks_max)) == want


@settings(max_examples=30)
@given(st.data())
def test_arrays_are_told_as_rows_are_from_report_to_report(data: st.DataObject) -> None:
    programs = {pid: data.draw(reports(), str(pid)) for pid in data.draw(st.sampled_from((PIDS[:1], PIDS[:2], PIDS)))}
    for _ in range(data.draw(st.integers(1, 3))):
        now = [(pid, report.arrays()) for pid, report in programs.items()]
        assert_same(merged(told(now, as_rows=False)), merged(told(now, as_rows=True)))
        programs = {pid: data.draw(changed(report)) for pid, report in programs.items()}


@settings(max_examples=30)
@given(reports(), reports())
def test_programs_whose_ids_would_be_the_same_get_different_ones(one: Report, other: Report) -> None:
    same = other._replace(start=one.start, unit=one.unit)
    now = [(PIDS[0], one.arrays()), (PIDS[1], same.arrays())]
    blocks = merged(told(now, as_rows=False)).snapshot.blocks
    assert len({block.block_id for block in blocks}) == len(blocks)
    assert_same(merged(told(now, as_rows=False)), merged(told(now, as_rows=True)))


def test_a_block_more_makes_few_chunks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Counted(KnownChunk):
        def __init__(self, sums: dict[int, BlockSum], in_range: AddressRange | None, blocks: int) -> None:
            super().__init__(sums, in_range, blocks)
            made.append(blocks)

    monkeypatch.setattr(known_blocks, "KnownChunk", Counted)
    blocks = reports_of(3000)
    merged(told([(700, blocks.arrays())], as_rows=False)).json_pieces("full", 10**6)
    first, made[:] = list(made), []
    split = [blocks.blocks[1499]._replace(size=size) for size in (1, 2)]
    assert sum(one.size for one in split) == blocks.blocks[1499].size
    more = blocks._replace(blocks=(*blocks.blocks[:1499], *split, *blocks.blocks[1500:]))
    merged(told([(700, more.arrays())], as_rows=False)).json_pieces("full", 10**6)
    assert len(first) > 10
    assert 1 <= len(made) <= 3


@given(st.integers(0, 9999), st.integers(1, 9999))
@settings(max_examples=20)
def test_a_block_out_of_order_counts_in_its_own_chunk_alone(place: int, other: int) -> None:
    arrays = reports_of(10_000).arrays()
    arrays.address[place] += 1
    arrays.state[other] = 2
    known = KnownBlocks(ListedBlocks(arrays))
    assert [part.start for part, _ in known.chunks] == [0, *(part.stop for part, _ in known.chunks)][:-1]
    for part, chunk in known.chunks:
        want = None if part.start <= place < part.stop else (arrays.address[part][0], arrays.address[part][-1])
        assert (chunk.range and chunk.range[:2]) == want
        sizes = list(zip(known.codes[part], arrays.size[part], strict=True))
        assert chunk.sums == {
            code: BlockSum(len(held), sum(held))
            for code in known.codes[part]
            if (held := [size for one, size in sizes if one == code])
        }


def reports_of(count: int) -> Report:
    blocks = tuple(OneBlock(0, 1 + place % 3, place % 2, 1, 1, None, 1, 0) for place in range(count))
    return Report(blocks, without=frozenset(("segment",)))


def test_what_is_kept_of_a_chunk_has_a_bound() -> None:
    chunk = KnownChunk({}, None, 3)
    made = [chunk.bytes_of(pid, lambda pid=pid: str(pid).encode()) for pid in range(100)]
    assert made == [str(pid).encode() for pid in range(100)]
    assert len(chunk._made) <= known_blocks.PURPOSES_MAX  # pyright: ignore[reportPrivateUsage]
    assert chunk.bytes_of(99, lambda: b"anew") == b"99"


@given(reports(), st.lists(st.integers(0, 50), max_size=6), st.booleans())
def test_the_json_of_the_first_rows_is_theirs_however_often_it_is_asked(
    report: Report, limits: list[int], as_rows: bool
) -> None:
    (seen,) = told([(PIDS[0], report.arrays())], as_rows=as_rows).samples
    part = BlockPart(PIDS[0], 0, seen.allocators[0])
    for rows_max in (*limits, len(part), *limits, len(part) + 1):
        assert b"[" + b",".join(part.texts(rows_max)) + b"]" == msgspec.json.encode(part.rows()[:rows_max])


def test_a_pool_of_pages_is_told_by_rows() -> None:
    plain = told([(700, reports_of(100).arrays())], as_rows=False)
    (seen,) = plain.samples
    (one,) = seen.allocators
    assert isinstance(one.blocks, ListedBlocks)
    as_rows = structs.replace(one, blocks=tuple(one.blocks))
    both = [merged(structs.replace(plain, samples=(structs.replace(seen, allocators=(of,)),))) for of in (one, as_rows)]
    assert_same(*both)
