"""Frames between a process that observes and the daemon: agents over a Unix socket, source children over a pipe.

A frame is a 12-byte little-endian header

    4 bytes  magic  b"BBOX"
    2 bytes  version of this layout
    2 bytes  kind of the payload (`FrameKind`)
    4 bytes  length of the payload

and then the payload. A stream that breaks a rule raises `WireError`; the reader must then close it, since nothing
after the fault can be trusted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

MAGIC = b"BBOX"
VERSION = 1
HEADER = struct.Struct("<4sHHI")
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
"""A report of 100,000 blocks in packed arrays takes 5 MiB; anything above this is a fault or an attack."""


class WireError(ValueError):
    """The peer broke the framing."""


class FrameKind(IntEnum):
    """What the payload of a frame holds. Numbers are never reused."""

    REQUEST = 1
    """Daemon to source child: take a sample (msgpack)."""
    SAMPLE = 2
    """Source child to daemon: the sample (msgpack)."""
    HELLO = 3
    """Agent to daemon, first of all: who it is (JSON of `Hello`)."""
    REPORT = 4
    """Agent to daemon: what one probe sees (see `blackbox.wire.message`)."""
    OOM = 5
    """Agent to daemon: an allocation failed; the allocator's state and its last steps."""
    GOODBYE = 6
    """Agent to daemon, last of all: the program ends by itself (empty, or JSON of `Goodbye`)."""
    OOM_RECEIVED = 7
    """Daemon to agent: the OOM has arrived, the program need not wait any longer (empty)."""
    WELCOME = 8
    """Daemon to agent, after its hello: what it reads beyond the first version (JSON of `Welcome`)."""


class Frame(NamedTuple):
    kind: int
    payload: bytes


def pack(kind: int, payload: bytes) -> bytes:
    """The bytes of one frame. Raises `WireError` when the payload exceeds `MAX_PAYLOAD_BYTES`."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise WireError(f"payload of {len(payload)} bytes exceeds {MAX_PAYLOAD_BYTES}")
    return HEADER.pack(MAGIC, VERSION, kind, len(payload)) + payload


class Unpacker:
    """Cuts a byte stream into frames, however it arrives. Holds at most one frame and what was fed beyond it."""

    def __init__(self, payload_bytes_max: int = MAX_PAYLOAD_BYTES) -> None:
        self.payload_bytes_max = payload_bytes_max
        """May be changed between frames: a peer that has not said who it is needs little."""
        self._buffer = bytearray()

    @property
    def held_bytes(self) -> int:
        """Memory held for a frame that is not complete."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames completed by `data`, in order. Each is cut off when it is asked for: one may change the
        limit for the next. Iterating raises `WireError` at the first broken header."""
        self._buffer += data
        return self._frames()

    def _frames(self) -> Iterator[Frame]:
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        if len(self._buffer) < HEADER.size:
            return None
        magic, version, kind, length = HEADER.unpack_from(self._buffer)
        if magic != MAGIC:
            raise WireError("not a Blackbox frame")
        if version != VERSION:
            raise WireError(f"frame version {version}, this side speaks {VERSION}")
        if length > self.payload_bytes_max:
            raise WireError(f"payload of {length} bytes exceeds {self.payload_bytes_max}")
        end = HEADER.size + length
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[HEADER.size : end])
        del self._buffer[:end]
        return Frame(kind, payload)
