"""The framing of an event stream: Server-Sent Events, plain or in gzip, in HTTP chunks or bare."""

import zlib
from collections.abc import Iterable
from typing import NamedTuple

from blackbox.model.codec import GZIP_LEVEL

_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_CHUNK = b"0\r\n\r\n"


def event(seq: int, body: Iterable[bytes]) -> tuple[bytes, ...]:
    """An event, in pieces: a body may be megabytes. It must be one line."""
    return b"id: %d\ndata: " % seq, *body, b"\n\n"


def named_event(number: int, name: str, body: bytes) -> bytes:
    """An event of a kind of its own, which browsers hand to the listener of that name. `body` must be one line."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, name.encode(), body)


def comment(line: str) -> bytes:
    """Something every client skips over, and a person reading along understands."""
    return f": {line}\n\n".encode()


class Framing(NamedTuple):
    """How a stream's text becomes bytes. Every piece stands alone, so all clients of a framing share its bytes.

    There is no zstd: an event would be a frame, and some clients that accept zstd (httpx 0.28) read one frame only.
    """

    gzip: bool = False
    chunked: bool = True

    def head(self) -> bytes:
        """Bytes before the first piece."""
        return self._chunk(_GZIP_HEADER) if self.gzip else b""

    def piece(self, *texts: bytes) -> bytes:
        """One event or comment, whole or in pieces. In gzip: a deflate fragment that refers to nothing before it and
        ends on a byte."""
        if self.gzip:
            packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
            return self._chunk(*map(packer.compress, texts), packer.flush(zlib.Z_FULL_FLUSH))
        return self._chunk(*texts)

    def tail(self) -> bytes:
        """Bytes after the last piece. gzip gets no checksum: each client's would differ."""
        return _LAST_CHUNK if self.chunked else b""

    def _chunk(self, *data: bytes) -> bytes:
        return b"".join((b"%x\r\n" % sum(map(len, data)), *data, b"\r\n") if self.chunked else data)
