"""Protobuf's wire format, as far as the files need it that are read without its library (docs/decisions/0007-pprof.md).

A message is a row of fields, each a number and a value. What a field means is known to whoever reads the message.
"""

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
VARINT_BYTES_MAX = 10
"""Of 64 bits."""

Field = tuple[int, int | bytes]
"""Number, and the value as it stands there."""


class ProtobufError(Exception):
    """The bytes are no message."""


def numbers(data: bytes) -> dict[int, int]:
    """The fields of a message that are numbers. Raises `ProtobufError`."""
    return {number: value for number, value in fields(data) if isinstance(value, int)}


def repeated(value: int | bytes) -> list[int]:
    """The numbers of a repeated field: one by one, or packed. Raises `ProtobufError`."""
    if isinstance(value, int):
        return [value]
    found: list[int] = []
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found


def fields(data: bytes) -> Iterator[Field]:
    """The fields of a message; those of fixed width are left out. Raises `ProtobufError`."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == BYTES:
            length, at = _varint(data, at)
        elif kind in FIXED_BYTES:
            length = FIXED_BYTES[kind]
        else:
            raise ProtobufError(f"it has a field of the unknown kind {kind}")
        if at + length > len(data):
            raise ProtobufError("it is cut")
        if kind == BYTES:
            yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(VARINT_BYTES_MAX):
        if at + place >= len(data):
            raise ProtobufError("it is cut")
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value & (1 << 64) - 1, at + place + 1
    raise ProtobufError("it has a number of more than 64 bits")
