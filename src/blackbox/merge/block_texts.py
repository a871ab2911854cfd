"""JSON of an allocator's blocks, out of their arrays, as it would be of their rows and in half the time: blocks repeat
each other in all but their place."""

from array import array
from collections.abc import Iterator
from itertools import repeat

import msgspec

from blackbox.merge.blocks import block_ids, rows_of_arrays
from blackbox.model.block_arrays import NO_REQUEST, NO_STREAM, BlockArrays

Likeness = tuple[int, int, int, int, int, int, int]
"""Size, type, state, label, requested size, thread and stream of a block, as in its arrays."""
FIRST, NEXT, ADDRESS = b'{"block_id":', b',{"block_id":', b',"address":'
_encoder = msgspec.json.Encoder()


class BlockTexts:
    """Encodes the blocks of one report."""

    def __init__(self, pid: int, gpu: int, blocks: BlockArrays) -> None:
        self._pid, self._gpu = pid, gpu
        self._blocks = blocks
        self._endings = _Endings(pid, gpu, blocks)

    def of(self, part: slice) -> bytes:
        """A part of the blocks, one at least, with commas between them."""
        addresses = self._blocks.address[part]
        rows = len(addresses)
        pieces = [NEXT] * (5 * rows)
        pieces[0] = FIRST
        pieces[1::5] = _numbers(block_ids(self._pid, self._gpu, addresses))
        pieces[2::5] = [ADDRESS] * rows
        pieces[3::5] = _numbers(addresses.tolist())
        pieces[4::5] = map(self._endings.__getitem__, _likenesses(self._blocks, part))
        return b"".join(pieces)


class _Endings(dict[Likeness, bytes]):
    """What stands behind the address, by how a block is; of a report's blocks, since labels are codes of its own."""

    def __init__(self, pid: int, gpu: int, blocks: BlockArrays) -> None:
        self._pid, self._gpu = pid, gpu
        self._labels = blocks.labels

    def __missing__(self, likeness: Likeness) -> bytes:
        (row,) = rows_of_arrays(self._pid, self._gpu, _alone(self._labels, likeness))
        text = _encoder.encode(row)
        found = self[likeness] = text[text.index(ADDRESS) + len(ADDRESS) + 1 :]
        return found


def _likenesses(blocks: BlockArrays, part: slice) -> Iterator[Likeness]:
    rows = part.stop - part.start
    requested = repeat(NO_REQUEST, rows) if blocks.requested is None else blocks.requested[part]
    thread = repeat(0, rows) if blocks.thread is None else blocks.thread[part]
    stream = repeat(NO_STREAM, rows) if blocks.stream is None else blocks.stream[part]
    size, type_, state, label = (one[part] for one in (blocks.size, blocks.type, blocks.state, blocks.label))
    return zip(size, type_, state, label, requested, thread, stream, strict=True)


def _alone(labels: tuple[tuple[str | None, str | None], ...], likeness: Likeness) -> BlockArrays:
    """One such block, at address 0."""
    size, type_, state, label, requested, thread, stream = likeness
    return BlockArrays(
        array("Q", [0]),
        array("Q", [size]),
        array("B", [state]),
        array("B", [type_]),
        array("B", [label]),
        labels,
        requested=array("Q", [requested]),
        thread=array("I", [thread]),
        stream=array("Q", [stream]),
    )


def _numbers(numbers: list[int]) -> list[bytes]:
    """Each as text."""
    return _encoder.encode(numbers)[1:-1].split(b",")
