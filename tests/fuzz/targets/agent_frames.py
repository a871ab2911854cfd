"""What agents send: a stream of frames, or a message as msgpack of [kind, header, columns]."""

import json
import struct
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from blackbox.sources.agents.decode import decode
from blackbox.wire import FrameKind, Unpacker, WireError
from blackbox.wire.frame import pack
from blackbox.wire.message import pack_goodbye, pack_hello, pack_oom, pack_report, split
from blackbox.wire.report import BLOCK_ORIGINS, OOM_TRACE
from tests.agent_messages import COST, HELLO, OOM, ORIGINAL, TRACED_OOM, WHOLE
from tests.mutations import NOT_A_TREE

ALLOWED = (WireError,)
HEADERS_MAX = 1 << 30
PIECE_BYTES = 4096


def seeds() -> Sequence[bytes]:
    frames = [
        pack_report(WHOLE, COST),
        pack_report(ORIGINAL, COST, (BLOCK_ORIGINS,)),
        pack_oom(OOM),
        pack_oom(TRACED_OOM, (OOM_TRACE,)),
        pack_hello(HELLO),
        pack_goodbye(),
    ]
    return [*frames, b"".join(frames), *map(_taken_apart, frames[:4])]


def run(data: bytes) -> None:
    stream, unpacker = _put_together(data), Unpacker()
    for start in range(0, len(stream), PIECE_BYTES):
        for frame in unpacker.feed(stream[start : start + PIECE_BYTES]):
            decode(frame)


def _taken_apart(packed: bytes) -> bytes:
    (frame,) = Unpacker().feed(packed)
    header, columns = split(frame.payload, HEADERS_MAX)
    return msgspec.msgpack.encode([int(frame.kind), json.loads(header), bytes(columns)])


def _put_together(data: bytes) -> bytes:
    """Frames, out of a message taken apart."""
    try:
        kind, header, columns = cast("list[Any]", msgspec.msgpack.decode(data))
        text = json.dumps(header).encode()
        return pack(FrameKind(kind), struct.pack("<I", len(text)) + text + columns)
    except NOT_A_TREE:
        return data
