"""A target with holes, for the test of the fuzzer: SEEDS begin with the hole that a mutant opens."""

import os
from collections.abc import Sequence

import msgspec

ALLOWED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
HOLE = os.environ.get("PLANTED_HOLE", "")


class Message(msgspec.Struct):
    count: int
    items: list[int]


def seeds() -> Sequence[bytes]:
    return [msgspec.json.encode(Message(3, [1, 2, 3]))]


def run(data: bytes) -> None:
    message = msgspec.json.decode(data, type=Message)
    if HOLE == "error":
        message.items[message.count - 1]
    elif HOLE == "memory" and 0 < message.count < 1 << 62:
        bytearray(b"x") * min(message.count, 128 << 20)
    elif HOLE == "endless":
        while message.count < 0:
            pass
    elif HOLE == "crash" and message.count < 0:
        os.abort()
