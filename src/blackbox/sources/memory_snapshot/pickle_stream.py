"""The opcodes of a pickle of protocol 4 or 5, a stretch at a time, without the frames that they were written in."""

import io
import struct

PROTOCOLS = (4, 5)
PROTO, FRAME = 0x80, 0x95
CHUNK_BYTES = 1 << 20
LOOK_AHEAD_BYTES = 1 << 16
"""So much is at hand before an opcode is looked at, while there is more: an entry with a deep stack takes 3 kB."""
UNFRAMED_BYTES_MAX = 4
"""Python writes no frame around so few bytes, which are then the last ones."""
_LENGTH = struct.Struct("<Q")
HEAD_BYTES = 1 + _LENGTH.size
"""Of a frame: the opcode, and how long it is."""


class UnexpectedError(Exception):
    """Something that PyTorch does not write. Whoever reads opcode by opcode gives up, and reads the file whole."""


class PickleStream:
    """What is at hand: `data`, of which `pos` is the next byte to read; `fill` gets more."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        """Raises `UnexpectedError`."""
        self._file = file
        self._in_frame = 0
        """Bytes left of the frame."""
        self.at_end = False
        head = file.read(2)
        if len(head) != 2 or head[0] != PROTO or head[1] not in PROTOCOLS:
            raise UnexpectedError
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

    def _begin_frame(self, head: bytes, parts: "list[bytes | memoryview]") -> None:
        if len(head) == HEAD_BYTES and head[0] == FRAME:
            (self._in_frame,) = _LENGTH.unpack(head[1:])
        elif len(head) > UNFRAMED_BYTES_MAX:
            raise UnexpectedError
        else:
            self.at_end = True
            parts.append(head)
