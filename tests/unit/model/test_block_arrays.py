"""Blocks as arrays: rows, chunks, codes."""

from array import array

import pytest
from hypothesis import given, settings

from blackbox.model.block_arrays import (
    CHUNK_ROWS_MAX,
    NO_REQUEST,
    NO_STREAM,
    STATES,
    TYPES,
    BlockArrays,
    ListedBlocks,
)
from blackbox.model.parts import AllocatorBlock
from tests.block_arrays import Report, reports


@given(reports())
def test_rows_are_what_the_arrays_say(report: Report) -> None:
    arrays = report.arrays()
    blocks = ListedBlocks(arrays)
    rows = tuple(blocks)
    assert len(rows) == len(blocks) == len(report.blocks)
    assert blocks == rows
    for place, row in enumerate(rows):
        subtype, source = arrays.labels[arrays.label[place]]
        assert row == AllocatorBlock(
            arrays.address[place],
            arrays.size[place],
            STATES[arrays.state[place]],
            TYPES[arrays.type[place]],
            number(arrays.requested, place, NO_REQUEST),
            subtype,
            source,
            number(arrays.thread, place, 0),
            number(arrays.stream, place, NO_STREAM),
            None if (stack := number(arrays.stack, place, 0)) is None else stack - 1,
            number(arrays.segment, place, 0),
            None if arrays.pool is None else arrays.pool[place],
            None if (ms := number(arrays.allocated_ms, place, 0)) is None else ms / 1000,
        )
        assert blocks[place] == row
    assert blocks[1:3] == rows[1:3]


def number(column: "array[int] | None", place: int, none: int) -> int | None:
    return None if column is None or column[place] == none else column[place]


@given(reports(600))
def test_parts_are_all_blocks_in_their_order_and_none_is_long(report: Report) -> None:
    arrays = report.arrays()
    parts = list(arrays.parts())
    assert [0, *(part.stop for part in parts)] == [*(part.start for part in parts), len(report.blocks)]
    assert all(0 < part.stop - part.start <= CHUNK_ROWS_MAX for part in parts)


@settings(max_examples=30)
@given(reports(), reports())
def test_chunks_with_one_key_are_the_same_blocks(one: Report, other: Report) -> None:
    rows: dict[bytes, tuple[AllocatorBlock, ...]] = {}
    for report in (one, other, one._replace(labels=one.labels[::-1])):
        arrays = report.arrays()
        for chunk in ListedBlocks(arrays).chunks():
            found = arrays.cut(chunk.part).rows()
            assert rows.setdefault(chunk.key, found) == found


def test_labels_however_many_and_long_take_no_room_in_each_key() -> None:
    numbers, codes = array("Q", range(512, 512 * 1001, 512)), array("B", bytes(1000))
    labels = tuple((f"{number}" * 60, "b" * 200) for number in range(256))
    chunks = ListedBlocks(BlockArrays(numbers, numbers, codes, codes, codes, labels)).chunks()
    assert all(len(chunk.key) < 20 * (chunk.part.stop - chunk.part.start) for chunk in chunks)


def test_a_column_that_is_not_told_is_not_taken_for_one_of_its_width() -> None:
    numbers, codes = array("Q", [512]), array("B", [0])
    none = BlockArrays(numbers, numbers, codes, codes, codes, ((None, None),))
    either = none._replace(requested=numbers), none._replace(segment=numbers)
    assert len({ListedBlocks(arrays).chunks()[0].key for arrays in either}) == 2


@given(reports())
def test_a_code_is_label_type_and_state(report: Report) -> None:
    arrays = report.arrays()
    kinds = zip(arrays.label, arrays.type, arrays.state, strict=True)
    assert list(map(arrays.kind_of, arrays.kind_codes())) == list(kinds)


def test_places_that_are_not_there_are_refused() -> None:
    with pytest.raises(IndexError):
        ListedBlocks(Report(()).arrays())[0]


def test_what_is_made_of_blocks_is_made_once_for_each_purpose() -> None:
    blocks, made = ListedBlocks(Report(()).arrays()), list[str]()

    def make(what: str) -> str:
        made.append(what)
        return what

    assert [blocks.once(what, lambda what=what: make(what)) for what in ("a", "b", "a")] == ["a", "b", "a"]
    assert made == ["a", "b"]
