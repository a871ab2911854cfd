"""Events apart from the blocks of a failed allocation, where these are held as arrays: a hundred thousand of them take
megabytes as arrays, and ten times as much as rows or JSON."""

from __future__ import annotations  # arrays take no parameter at run time before Python 3.12

import os
from collections.abc import Iterator
from typing import Any, cast

import msgspec
from msgspec import structs

from blackbox.model.block_arrays import ListedBlocks
from blackbox.model.event import Event
from blackbox.model.lanes import IntArray

ROWS_AT_ONCE = 4096
"""Made of arrays, and put into JSON."""
ROW_JSON_BYTES = 128
"""Of a block without its label: it has up to eleven numbers, most of them short."""
Labels = tuple[tuple[str | None, str | None], ...]
_encoder = msgspec.json.Encoder()
_MARK = msgspec.json.encode(os.urandom(16).hex())
"""Stands for the blocks while the rest is put into JSON: no program can know it."""


def split(event: Event) -> tuple[Event, ListedBlocks | None]:
    """The event without blocks that are held as arrays, and these."""
    allocator = None if event.oom is None else event.oom.allocator
    blocks = None if allocator is None else allocator.blocks
    return (with_blocks(event, None), blocks) if isinstance(blocks, ListedBlocks) else (event, None)


def with_blocks(event: Event, blocks: ListedBlocks | None) -> Event:
    """A failed allocation with these blocks of its allocator, which it names."""
    assert event.oom is not None
    assert event.oom.allocator is not None
    allocator = structs.replace(event.oom.allocator, blocks=blocks)
    return structs.replace(event, oom=structs.replace(event.oom, allocator=allocator))


def without_blocks(event: Event, reason: str) -> Event:
    """A failed allocation whose blocks cannot be told here for `reason`."""
    assert event.oom is not None
    assert event.oom.allocator is not None
    allocator = event.oom.allocator
    allocator = structs.replace(allocator, blocks=None, unknown=allocator.unknown | {"blocks": reason})
    return structs.replace(event, oom=structs.replace(event.oom, allocator=allocator, block_stacks=()))


def json_bytes(rows: int, label: IntArray | None, labels: Labels) -> int:
    """What so many blocks take in JSON, about: a label is written out for each block that has it."""
    told = 0
    if label is not None:
        told = sum(label.count(code) * _text_bytes(texts) for code, texts in enumerate(labels))
    return rows * ROW_JSON_BYTES + told


def json_bytes_of(blocks: ListedBlocks) -> int:
    """The same of these."""
    return json_bytes(len(blocks), blocks.arrays.label, blocks.arrays.labels)


def _text_bytes(texts: tuple[str | None, ...]) -> int:
    return sum(len((text or "").encode(errors="replace")) for text in texts)


def json_rows(blocks: ListedBlocks) -> Iterator[bytes]:
    """JSON of the list of blocks, in pieces."""
    yield b"["
    for start in range(0, len(blocks), ROWS_AT_ONCE):
        rows = _encoder.encode(blocks[start : start + ROWS_AT_ONCE])
        yield (b"," if start else b"") + rows[1:-1]
    yield b"]"


def json_pieces(event: Event) -> list[bytes]:
    """JSON of an event, in pieces: with its blocks it may take megabytes, of which no second copy is made."""
    _, blocks = split(event)
    if blocks is None:
        return [_encoder.encode(event)]
    marked = with_blocks(event, cast(Any, msgspec.Raw(_MARK)))
    head, _, tail = _encoder.encode(marked).partition(_MARK)
    return [head, *json_rows(blocks), tail]


def as_json(value: object) -> msgspec.Raw:
    """JSON of the blocks, for a msgspec encoder that meets them in an event."""
    if not isinstance(value, ListedBlocks):
        raise NotImplementedError(f"no JSON of {type(value)}")
    whole = bytearray()  # joining the pieces would take as much again
    for rows in json_rows(value):
        whole += rows
    return msgspec.Raw(whole)
