"""Blocks that are held as arrays, as the list of blocks that they are stored as. What was made of a chunk of them is
used again for the next report that has an equal one."""

import struct

import msgspec

from blackbox.merge.known_blocks import known_blocks
from blackbox.model.block_arrays import BlockArrays, ListedBlocks

_LIST = struct.Struct(">BI")
_LIST_OF_32_BITS = 0xDD
"""msgpack: a list whose length takes 32 bits."""
SHORT_LIST_MAX = 15
"""The length of such a list stands in its first byte; that of a chunk (`CHUNK_ROWS_MAX`) takes two more otherwise."""
_encoder = msgspec.msgpack.Encoder()


def packed_blocks(blocks: object) -> msgspec.Raw:
    """msgpack of the blocks, for a msgspec encoder that meets them in a sample."""
    if not isinstance(blocks, ListedBlocks):
        raise NotImplementedError(f"no msgpack of {type(blocks)}")
    known = known_blocks(blocks)
    head = _LIST.pack(_LIST_OF_32_BITS, len(known))
    items = (
        chunk.bytes_of("msgpack", lambda part=part: _items(known.arrays.cut(part))) for part, chunk in known.chunks
    )
    return msgspec.Raw(b"".join((head, *items)))


def _items(arrays: BlockArrays) -> bytes:
    """The blocks, one behind the other: a list of them without its head, which tells its length."""
    rows = arrays.rows()
    return _encoder.encode(rows)[1 if len(rows) <= SHORT_LIST_MAX else 3 :]
