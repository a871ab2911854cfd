"""Snapshots to bytes and back: JSON, and the content encodings of HTTP. Events that no bytes can hold."""

import zlib
from functools import cache

import msgspec
from msgspec import Struct

from blackbox.model.event import Event
from blackbox.model.event_blocks import as_json, split
from blackbox.model.snapshot import Snapshot
from blackbox.model.view import Encoding

GZIP_LEVEL = 1
"""1.6 MB of blocks in 8 ms; level 6 takes 5 times as long to save a fifth."""
ZSTD_LEVEL = 1
_GZIP_WINDOW = 16 + zlib.MAX_WBITS

_encoder = msgspec.json.Encoder(enc_hook=as_json)


def to_json(snapshot: Snapshot) -> bytes:
    """The snapshot as one line of JSON."""
    return _encoder.encode(snapshot)


def from_json(body: bytes) -> Snapshot:
    """The snapshot in `body`. Raises `msgspec.ValidationError` where it breaks the schema."""
    return _decoder().decode(body)


@cache
def _decoder() -> "msgspec.json.Decoder[Snapshot]":
    """Made when first asked for: most commands read none."""
    return msgspec.json.Decoder(Snapshot)


def answer_json(answer: Struct) -> bytes:
    """Any other answer, which may hold events."""
    return _encoder.encode(answer)


def event_fault(event: Event) -> str | None:
    """Why the event can be neither recorded nor shown; None where it can."""
    from blackbox.model.times import TIME_SECONDS_MAX  # which compiles what people write times as

    if not 0 <= event.timestamp <= TIME_SECONDS_MAX:
        return "its time is in no calendar"
    bare, blocks = split(event)  # of the blocks, arrays hold no number that bytes cannot
    try:
        for told in (bare, None if blocks is None else blocks.arrays.labels):
            _encoder.encode(told)
            msgspec.msgpack.encode(told)
    except (OverflowError, ValueError, TypeError) as error:
        return str(error)
    return None


def compress(body: bytes, encoding: Encoding) -> bytes:
    """`body` in one of HTTP's content encodings."""
    match encoding:
        case "identity":
            return body
        case "gzip":
            packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
            return packer.compress(body) + packer.flush()
        case "zstd":
            import zstandard  # not for whoever only makes JSON

            return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(body)
