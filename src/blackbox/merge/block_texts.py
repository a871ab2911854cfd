"""JSON of an allocator's blocks, out of their arrays, as it would be of their rows and in half the time: blocks repeat
each other in all but their place."""

from __future__ import annotations  # arrays take no parameter at run time before Python 3.12

from collections.abc import Iterator
from functools import cached_property

import msgspec
from msgspec import Raw, Struct

from blackbox.merge.blocks import ACTIVE, INACTIVE, block_ids
from blackbox.merge.known_blocks import KnownBlocks
from blackbox.model.block_arrays import NO_REQUEST, NO_STREAM, TYPES, are_alike
from blackbox.model.lanes import IntArray
from blackbox.model.snapshot import Block

NOT_TOLD = {"requested": NO_REQUEST, "thread": 0, "stream": NO_STREAM}
"""Columns in which all blocks of many a report are alike, in the order of the row's keys, with the number of a block
that does not tell."""
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

    def __init__(self, pid: int, gpu: int, known: KnownBlocks) -> None:
        self._pid, self._gpu = pid, gpu
        self._blocks = known.arrays
        self._are_in_order = known.range is not None
        self._endings = _Endings(pid, gpu, known)

    def of(self, part: slice) -> bytes:
        """A part of the blocks, one at least, with commas between them."""
        addresses = self._blocks.address[part].tolist()
        ids = block_ids(self._pid, self._gpu, addresses, are_in_order=self._are_in_order)
        return _encoder.encode(list(map(_Row, ids, addresses, self._endings.of(part))))[1:-1]


class _Endings(dict[tuple[int, ...], Raw]):
    """What stands behind `"size":`, by how a block is: size, kind code, and each column in which the blocks differ. Of
    one report's blocks, since codes and labels are its own."""

    def __init__(self, pid: int, gpu: int, known: KnownBlocks) -> None:
        self._pid, self._gpu = pid, gpu
        self._known = known
        self._blocks = known.arrays

    def of(self, part: slice) -> Iterator[Raw]:
        """The ending of each block."""
        columns = (column[part] for column in self._differing.values())
        keys = zip(self._blocks.size[part], self._known.codes[part], *columns, strict=True)
        return map(self.__getitem__, keys)

    @cached_property
    def _columns(self) -> dict[str, IntArray | None]:
        return {name: getattr(self._blocks, name) for name in NOT_TOLD}

    @cached_property
    def _differing(self) -> dict[str, IntArray]:
        told = ((name, column) for name, column in self._columns.items() if column is not None)
        return {name: column for name, column in told if not are_alike(column)}

    @cached_property
    def _first(self) -> dict[str, int]:
        """The numbers of the first block, of which the others differ in `_differing` alone."""
        return {name: NOT_TOLD[name] if column is None else column[0] for name, column in self._columns.items()}

    def __missing__(self, likeness: tuple[int, ...]) -> Raw:
        size, code, *differing = likeness
        label, type_, state = self._blocks.kind_of(code)
        subtype, type_source = self._blocks.labels[label]
        numbers = self._first | dict(zip(self._differing, differing, strict=True))
        requested, thread, stream = (
            None if numbers[name] == none else numbers[name] for name, none in NOT_TOLD.items()
        )
        row = Block(
            block_id=0,
            address=0,
            size=size,
            type=TYPES[type_],
            allocated=state != INACTIVE,
            utilized=state == ACTIVE,
            pid=self._pid,
            gpu=self._gpu,
            requested_bytes=requested,
            subtype=subtype,
            type_source=type_source,
            thread_id=thread,
            stream=stream,
        )
        text = _encoder.encode(row)
        found = self[likeness] = Raw(text[text.index(SIZE) + len(SIZE) : -1])
        return found
