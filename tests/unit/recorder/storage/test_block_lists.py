"""Blocks that are held as arrays are recorded as rows are."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.block_arrays import ListedBlocks
from blackbox.model.parts import AllocatorBlock
from blackbox.recorder.storage.block_lists import packed_blocks
from blackbox.recorder.storage.frames import to_bytes, to_moment
from tests.block_arrays import OneBlock, Report, changed, reports
from tests.moments import allocator, device, moment, process, sample


@given(st.data())
def test_a_recorded_moment_has_the_rows(data: st.DataObject) -> None:
    report: Report = data.draw(reports())
    for _ in range(3):
        blocks = ListedBlocks(report.arrays())
        seen = moment(sample((device(0),), (process(7),), allocators=(allocator(7, blocks=blocks),)))
        (stored,) = to_moment(to_bytes(seen)).samples
        assert stored.allocators[0].blocks == tuple(blocks)
        report = data.draw(changed(report))


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 256, 70_000])
def test_lists_of_any_length_are_read_again(count: int) -> None:
    arrays = Report(tuple(OneBlock(0, 1, 1, 1, 1, None, 1, 0) for _ in range(count))).arrays()
    stored = msgspec.msgpack.Encoder(enc_hook=packed_blocks).encode(ListedBlocks(arrays))
    assert msgspec.msgpack.decode(stored, type=tuple[AllocatorBlock, ...]) == arrays.rows()


def test_other_objects_are_refused() -> None:
    with pytest.raises(NotImplementedError):
        packed_blocks(object())
