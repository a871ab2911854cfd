"""Device memory profiles as JAX writes them, made by hand."""

import gzip
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.protobuf import message, number, varint

MIB = 1 << 20


class Held(NamedTuple):
    """What one stack holds: one sample of a profile."""

    blocks: int
    size: int
    labels: Mapping[str, str]
    stack: Sequence[tuple[str, str, int]]
    """(function, file, line), innermost first."""


def buffer(size: int, device: str, *stack: tuple[str, str, int], count: int = 1) -> Held:
    return Held(count, size, {"kind": "buffer", "device": device}, stack)


def executable(size: int, *stack: tuple[str, str, int]) -> Held:
    return Held(1, size, {"kind": "executable"}, stack)


def profile(*held: Held, types: Sequence[tuple[str, str]] = (("allocations", "count"), ("space", "bytes"))) -> bytes:
    """Unpacked. Samples in packed fields, as JAX writes them."""
    texts: dict[str, int] = {"": 0}
    places: dict[tuple[str, str, int], int] = {}

    def text(value: str) -> int:
        return texts.setdefault(value, len(texts))

    parts = [message(1, number(1, text(kind)), number(2, text(unit))) for kind, unit in types]
    for one in held:
        ids = [places.setdefault(frame, len(places) + 1) for frame in one.stack]
        labels = [message(3, number(1, text(key)), number(2, text(value))) for key, value in one.labels.items()]
        values = message(2, varint(one.blocks), varint(one.size))
        parts.append(message(2, message(1, *map(varint, ids)), values, *labels))
    for (function, file, line), place in places.items():
        parts.append(message(5, number(1, place), number(2, text(function)), number(4, text(file))))
        parts.append(message(4, number(1, place), message(4, number(1, place), number(2, line))))
    parts.extend(message(6, value.encode()) for value in texts)
    return b"".join(parts)


def file(*held: Held) -> bytes:
    return gzip.compress(profile(*held))
