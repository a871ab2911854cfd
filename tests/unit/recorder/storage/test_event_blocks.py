"""Blocks of a failed allocation beside its event: whole, or refused."""

from array import array
from typing import Any

import pytest
from hypothesis import given

from blackbox.model.block_arrays import ListedBlocks
from blackbox.recorder.storage.compression import DamageError, pack
from blackbox.recorder.storage.event_blocks import pack_blocks, unpack_blocks
from tests.block_arrays import Report, reports
from tests.failures import listed


@given(reports())
def test_they_come_back_as_they_were(report: Report) -> None:
    blocks = ListedBlocks(report.arrays())
    assert unpack_blocks(pack_blocks(blocks)).arrays == blocks.arrays


def test_they_take_a_fraction_of_their_arrays() -> None:
    blocks = listed(100_000)
    assert len(pack_blocks(blocks)) < 100_000 * 10


@pytest.mark.parametrize(
    "changes",
    [
        {"size": array("Q", [1])},
        {"state": array("B", [0, 3])},
        {"type": array("B", [4, 0])},
        {"label": array("B", [0, 2])},
        {"pool": array("B", [1, 2, 3])},
        {"labels": ()},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_columns_that_cannot_be_are_refused(changes: dict[str, Any]) -> None:
    blocks = ListedBlocks(listed(2).arrays._replace(**changes))
    with pytest.raises(DamageError):
        unpack_blocks(pack_blocks(blocks))


@pytest.mark.parametrize("blob", [b"", "text", None, pack(b"no msgpack"), pack(b"\x92\x90\x81\xa7address\xc4\x01x")])
def test_what_is_none_is_refused(blob: object) -> None:
    with pytest.raises(DamageError):
        unpack_blocks(blob)
