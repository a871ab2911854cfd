"""Bytes that prove themselves, whole or as a delta to a key frame.

u32 CRC-32 of what follows, little-endian: no bit may have changed
a zstd frame with its size and a checksum: it was unpacked with the right key
"""

import struct
import threading
import zlib
from collections.abc import Iterable

import zstandard

LEVEL = 3
"""0.5 KB per moment of 8 GPUs × 32 processes, in 3 ms a minute; level 12 takes 20 times as long and saves nothing."""
DELTA_LEVEL = 1
UNPACKED_BYTES_MAX = 256 * 1024 * 1024
"""A moment of 64 processes with 100,000 blocks each. A damaged frame may claim any size."""
WINDOW_LOG_MIN, WINDOW_LOG_MAX = 18, 27
HASH_LOG_MAX = 20
"""Of the table that finds the key's parts again: 4 MiB, while a delta to a large key is made."""
STREAMED_WINDOW_MAX = 16 * 1024 * 1024
"""Bytes of the window that stays in memory while something is unpacked step by step: four moments, as far as they fit.
Moments that need more are few in a blob, or one, and take least when they are unpacked in one go."""
SKIPPED_BYTES = 128 * 1024
"""At a time: a block of zstd, which stays in the processor's cache."""
_CHECKSUM = struct.Struct("<I")


class DamageError(Exception):
    """Bytes on disk are not what was written."""


def pack(body: bytes) -> bytes:
    """`body`, compressed."""
    return pack_parts([body], len(body), len(body))


class Packer:
    """Packs small bodies as `pack` does, with tables that are made once. Used from one thread."""

    def __init__(self) -> None:
        self._packer = zstandard.ZstdCompressor(compression_params=_parameters(0))

    def pack(self, body: bytes) -> bytes:
        """`body`, compressed."""
        return signed(self._packer.compress(body))


def pack_parts(
    parts: Iterable[bytes | memoryview], size: int, alike_within: int, key: bytes | memoryview | None = None
) -> bytes:
    """Parts of `size` bytes in all, one after the other, of which few are in memory at a time.

    `alike_within` is how far apart, in bytes, what repeats itself may lie; `key` is what they are alike to.
    """
    parameters = _parameters(alike_within)
    packer = zstandard.ZstdCompressor(compression_params=parameters, dict_data=_as_dictionary(key)).compressobj(size)
    return signed(b"".join((*map(packer.compress, parts), packer.flush())))


def is_packed(blob: object) -> bool:
    """Whether something of the kind that `pack` makes stands behind the checksum."""
    return isinstance(blob, bytes) and blob.startswith(zstandard.FRAME_HEADER, _CHECKSUM.size)


def unpack(blob: object) -> bytes:
    """What was packed. Raises `DamageError`: a damaged database may answer with anything."""
    return _unpacked(_unpackers.own, blob)


class _Unpackers(threading.local):
    """One for each thread, which makes room for its tables once; nothing of a frame stays in it for the next."""

    def __init__(self) -> None:
        self.own = zstandard.ZstdDecompressor(max_window_size=UNPACKED_BYTES_MAX)


_unpackers = _Unpackers()


class DeltaCodec:
    """Packs bodies as what differs from a key frame, each on its own."""

    def __init__(self, key: bytes) -> None:
        self._key = _as_dictionary(key)
        window_log = _window_log(2 * len(key))
        parameters = zstandard.ZstdCompressionParameters(
            compression_level=DELTA_LEVEL,
            window_log=window_log,
            hash_log=min(HASH_LOG_MAX, window_log - 2),
            write_checksum=True,
        )
        self._packer = zstandard.ZstdCompressor(compression_params=parameters, dict_data=self._key)
        self._unpacker = zstandard.ZstdDecompressor(max_window_size=UNPACKED_BYTES_MAX, dict_data=self._key)

    def pack(self, body: bytes) -> bytes:
        """The delta."""
        return signed(self._packer.compress(body))

    def unpack(self, blob: object) -> bytes:
        """The body. Raises `DamageError`."""
        return _unpacked(self._unpacker, blob)


class PackedReader:
    """What was packed, from its start to as far as it is asked for; of large moments, all is unpacked at once."""

    def __init__(self, blob: object, key: bytes | memoryview | None = None) -> None:
        """`key`: what it was packed with. Raises `DamageError`."""
        frame = _checked(blob)
        self.size = zstandard.frame_content_size(frame)
        """Bytes in all."""
        unpacker = zstandard.ZstdDecompressor(max_window_size=UNPACKED_BYTES_MAX, dict_data=_as_dictionary(key))
        is_large = zstandard.get_frame_parameters(frame).window_size > STREAMED_WINDOW_MAX
        self._whole = memoryview(_decompressed(unpacker, frame)) if is_large else None
        self._place = 0
        """In `_whole`."""
        self._reader = unpacker.stream_reader(frame)

    def read(self, size: int) -> bytes | memoryview:
        """The next bytes. Raises `DamageError` where there are fewer."""
        if self._whole is not None:
            found = self._whole[self._place : self._place + size]
            self._place += size
        else:
            found = self._streamed(size)
        if len(found) != size:
            raise DamageError("shorter than it says")
        return found

    def _streamed(self, size: int) -> bytes:
        try:
            return self._reader.read(size)
        except zstandard.ZstdError as error:
            raise DamageError(str(error)) from error

    def skip(self, size: int) -> None:
        """Goes on behind the next bytes. Raises `DamageError`."""
        for start in range(0, size, SKIPPED_BYTES):
            self.read(min(SKIPPED_BYTES, size - start))


def signed(body: bytes) -> bytes:
    """The bytes behind their checksum."""
    return _CHECKSUM.pack(zlib.crc32(body)) + body


def unsigned(blob: object) -> bytes:
    """What was signed. Raises `DamageError`."""
    return bytes(unsigned_view(blob))


def unsigned_view(blob: object) -> memoryview:
    """The same without a copy. Raises `DamageError`."""
    if not isinstance(blob, bytes):
        raise DamageError("no bytes")
    body = memoryview(blob)[_CHECKSUM.size :]
    if _CHECKSUM.pack(zlib.crc32(body)) != blob[: _CHECKSUM.size]:
        raise DamageError("checksum")
    return body


def _checked(blob: object) -> bytes:
    """The zstd frame that was signed. Raises `DamageError`."""
    frame = unsigned(blob)
    try:
        if not 0 <= zstandard.frame_content_size(frame) <= UNPACKED_BYTES_MAX:
            raise DamageError("a frame of impossible size")
    except zstandard.ZstdError as error:
        raise DamageError(str(error)) from error
    return frame


def _unpacked(unpacker: zstandard.ZstdDecompressor, blob: object) -> bytes:
    return _decompressed(unpacker, _checked(blob))


def _decompressed(unpacker: zstandard.ZstdDecompressor, frame: bytes) -> bytes:
    try:
        return unpacker.decompress(frame)
    except zstandard.ZstdError as error:
        raise DamageError(str(error)) from error


def _as_dictionary(key: bytes | memoryview | None) -> zstandard.ZstdCompressionDict | None:
    return None if not key else zstandard.ZstdCompressionDict(key, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def _parameters(alike_within: int) -> zstandard.ZstdCompressionParameters:
    return zstandard.ZstdCompressionParameters(
        compression_level=LEVEL, window_log=_window_log(alike_within), write_checksum=True
    )


def _window_log(size: int) -> int:
    """Large enough to look back over everything."""
    return min(WINDOW_LOG_MAX, max(WINDOW_LOG_MIN, size.bit_length()))
