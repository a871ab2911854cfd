"""The opcodes of a pickle of protocol 4 or 5, a stretch at a time, without the frames that they were written in; and of
protocol 2 or 3, where there is something that writes them as those of 4."""

import io
import struct
from collections.abc import Callable
from typing import NamedTuple

PROTOCOLS, OLDER_PROTOCOLS = (4, 5), (2, 3)
PROTO, FRAME = 0x80, 0x95
CHUNK_BYTES = 1 << 20
UPGRADED_BYTES_MAX = 4 << 20
"""At once: no text of a snapshot is longer."""
LOOK_AHEAD_BYTES = 1 << 16
"""So much is at hand before an opcode is looked at, while there is more: an entry with a deep stack takes 3 kB."""
UNFRAMED_BYTES_MAX = 4
"""Python writes no frame around so few bytes, which are then the last ones."""
_LENGTH = struct.Struct("<Q")
HEAD_BYTES = 1 + _LENGTH.size
"""Of a frame: the opcode, and how long it is."""


class UnexpectedError(Exception):
    """Something that PyTorch does not write. Whoever reads opcode by opcode gives up, and reads the file whole."""


class Upgraded(NamedTuple):
    """Opcodes of protocol 2 or 3, written as those of 4."""

    written: bytes
    read: int
    """How many bytes they took before; what is left is the beginning of an opcode."""
    at_end: bool
    """The last one ends the pickle."""


Upgrade = Callable[[bytes], Upgraded]
"""Upgrades the next whole opcodes. Raises `UnexpectedError`."""


class PickleStream:
    """What is at hand: `data`, of which `pos` is the next byte to read; `fill` gets more."""

    def __init__(self, file: io.BufferedIOBase, upgrade: Upgrade | None = None) -> None:
        """`upgrade` is for protocol 2 and 3. Raises `UnexpectedError`."""
        self._file = file
        self._left = b""
        """Of an opcode that is to be upgraded, its beginning."""
        self._in_frame = 0
        """Bytes left of the frame."""
        self.at_end = False
        head = file.read(2)
        if len(head) != 2 or head[0] != PROTO or head[1] not in (*PROTOCOLS, *(OLDER_PROTOCOLS if upgrade else ())):
            raise UnexpectedError
        self._upgrade = None if head[1] in PROTOCOLS else upgrade
        self.data = b""
        self.fill(0)

    def fill(self, pos: int) -> None:
        """Forgets what is before `pos`, and adds a chunk behind what is left; `data` then begins at `pos`."""
        parts: list[bytes | memoryview] = [memoryview(self.data)[pos:]]
        wanted = CHUNK_BYTES
        while wanted > 0 and not self.at_end:
            chunk = memoryview(self._file.read(wanted))
            wanted -= len(chunk)
            self.at_end = not chunk
            if self._upgrade is not None:
                parts.append(self._upgraded(self._upgrade, chunk))
                continue
            at = 0
            while at < len(chunk):
                if self._in_frame == 0:
                    head = bytes(chunk[at : at + HEAD_BYTES])
                    at += len(head)
                    self._begin_frame(head + self._file.read(HEAD_BYTES - len(head)), parts)
                    if self.at_end:
                        break
                piece = chunk[at : at + self._in_frame]
                parts.append(piece)
                at += len(piece)
                self._in_frame -= len(piece)
        self.data = b"".join(parts)

    def _upgraded(self, upgrade: Upgrade, chunk: memoryview) -> bytes:
        whole = self._left + chunk
        if len(whole) > UPGRADED_BYTES_MAX:
            raise UnexpectedError
        upgraded = upgrade(whole)
        self._left = whole[upgraded.read :]
        self.at_end |= upgraded.at_end
        return upgraded.written

    def _begin_frame(self, head: bytes, parts: "list[bytes | memoryview]") -> None:
        if len(head) == HEAD_BYTES and head[0] == FRAME:
            (self._in_frame,) = _LENGTH.unpack(head[1:])
        elif len(head) > UNFRAMED_BYTES_MAX:
            raise UnexpectedError
        else:
            self.at_end = True
            parts.append(head)
