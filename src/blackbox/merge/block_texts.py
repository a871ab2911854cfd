"""JSON of an allocator's blocks, out of their arrays, as it would be of their rows and in half the time: blocks repeat
each other in all but their place."""

from __future__ import annotations  # arrays take no parameter at run time before Python 3.12

from array import array
from collections.abc import Iterator
from functools import cached_property

import msgspec
from msgspec import Raw, Struct

from blackbox.merge.blocks import block_ids, rows_of_arrays
from blackbox.model.block_arrays import BlockArrays
from blackbox.model.lanes import IntArray

OFTEN_ALIKE = ("requested", "thread", "stream")
"""Columns in which all blocks of many a report are alike."""
SIZE = b'"size":'
_encoder = msgspec.json.Encoder()


class _Row(Struct, gc=False):
    """A block as JSON: its place, and what is written behind that."""

    block_id: int
    address: int
    size: Raw
    """The size, and every key after it."""


class BlockTexts:
    """Encodes the blocks of one report."""

    def __init__(self, pid: int, gpu: int, blocks: BlockArrays) -> None:
        self._pid, self._gpu = pid, gpu
        self._blocks = blocks
        self._endings = _Endings(pid, gpu, blocks)

    def of(self, part: slice) -> bytes:
        """A part of the blocks, one at least, with commas between them."""
        addresses = self._blocks.address[part].tolist()
        ids = block_ids(self._pid, self._gpu, addresses)
        return _encoder.encode(list(map(_Row, ids, addresses, self._endings.of(part))))[1:-1]


class _Endings(dict[tuple[int, ...], Raw]):
    """What stands behind `"size":`, by how a block is: size, kind code, and each column in which the blocks differ. Of
    one report's blocks, since codes and labels are its own."""

    def __init__(self, pid: int, gpu: int, blocks: BlockArrays) -> None:
        self._pid, self._gpu = pid, gpu
        self._blocks = blocks

    def of(self, part: slice) -> Iterator[Raw]:
        """The ending of each block."""
        columns = (column[part] for column in self._differing.values())
        keys = zip(self._blocks.size[part], self._blocks.kind_codes(part), *columns, strict=True)
        return map(self.__getitem__, keys)

    @cached_property
    def _differing(self) -> dict[str, IntArray]:
        columns: dict[str, IntArray | None] = {name: getattr(self._blocks, name) for name in OFTEN_ALIKE}
        return {name: column for name, column in columns.items() if column is not None and not _are_alike(column)}

    def __missing__(self, likeness: tuple[int, ...]) -> Raw:
        size, code, *numbers = likeness
        label, type_, state = self._blocks.kind_of(code)
        columns = {
            name: array(self._differing[name].typecode, [n]) for name, n in zip(self._differing, numbers, strict=True)
        }
        block = self._blocks.cut(slice(0, 1))._replace(
            size=array("Q", [size]),
            label=array("B", [label]),
            type=array("B", [type_]),
            state=array("B", [state]),
            **columns,
        )
        (row,) = rows_of_arrays(self._pid, self._gpu, block)
        text = _encoder.encode(row)
        found = self[likeness] = Raw(text[text.index(SIZE) + len(SIZE) : -1])
        return found


def _are_alike(column: IntArray) -> bool:
    stored = column.tobytes()
    return stored == stored[: column.itemsize] * len(column)
