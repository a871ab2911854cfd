"""pprof's profile format: a protobuf message, read without its library (docs/decisions/0007-pprof.md).

Field numbers are those of `profile.proto`. What has another number is skipped, as the format asks.
"""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
VARINT_BYTES_MAX = 10
"""Of 64 bits."""


class PprofError(Exception):
    """The bytes are no profile."""


class ProfileSample(NamedTuple):
    locations: tuple[int, ...]
    """Ids, innermost first."""
    values: tuple[int, ...]
    """One for each of the profile's `sample_types`."""
    labels: dict[str, str]
    """Those that are texts."""


class ProfileLine(NamedTuple):
    function: int
    line: int


class ProfileFunction(NamedTuple):
    name: str
    file: str


class Profile(NamedTuple):
    sample_types: tuple[tuple[str, str], ...]
    """(type, unit) of each value."""
    samples: tuple[ProfileSample, ...]
    locations: dict[int, tuple[ProfileLine, ...]]
    """By id. Several lines where functions were inlined, innermost first."""
    functions: dict[int, ProfileFunction]
    time_nanoseconds: int
    """Unix time; 0 where it is not told."""


_Field = tuple[int, int | bytes]
"""Number, and the value as it stands there."""


def parse(data: bytes) -> Profile:
    """The profile in `data`. Raises `PprofError`."""
    try:
        return _profile(list(_fields(data)))
    except (IndexError, UnicodeDecodeError) as error:
        raise PprofError(f"it is cut or broken: {type(error).__name__}") from None


def _profile(fields: list[_Field]) -> Profile:
    texts = [value.decode() for number, value in fields if number == 6 and isinstance(value, bytes)]
    parts: dict[int, list[bytes]] = {1: [], 2: [], 4: [], 5: []}
    time_nanoseconds = 0
    for number, value in fields:
        if number in parts and isinstance(value, bytes):
            parts[number].append(value)
        elif number == 9 and isinstance(value, int):
            time_nanoseconds = value
    types = [_numbers(part) for part in parts[1]]
    return Profile(
        tuple((texts[one.get(1, 0)], texts[one.get(2, 0)]) for one in types),
        tuple(_sample(part, texts) for part in parts[2]),
        dict(map(_location, parts[4])),
        {(one := _numbers(part)).get(1, 0): _function(one, texts) for part in parts[5]},
        time_nanoseconds,
    )


def _sample(data: bytes, texts: list[str]) -> ProfileSample:
    locations: list[int] = []
    values: list[int] = []
    labels: dict[str, str] = {}
    for number, value in _fields(data):
        if number == 1:
            locations.extend(_repeated(value))
        elif number == 2:
            values.extend(map(_signed, _repeated(value)))
        elif number == 3 and isinstance(value, bytes):
            label = _numbers(value)
            if 2 in label:
                labels[texts[label.get(1, 0)]] = texts[label[2]]
    return ProfileSample(tuple(locations), tuple(values), labels)


def _location(data: bytes) -> tuple[int, tuple[ProfileLine, ...]]:
    lines = [_numbers(value) for number, value in _fields(data) if number == 4 and isinstance(value, bytes)]
    return _numbers(data).get(1, 0), tuple(ProfileLine(one.get(1, 0), _signed(one.get(2, 0))) for one in lines)


def _function(numbers: dict[int, int], texts: list[str]) -> ProfileFunction:
    return ProfileFunction(texts[numbers.get(2, 0)], texts[numbers.get(4, 0)])


def _numbers(data: bytes) -> dict[int, int]:
    """The fields of a message that are numbers."""
    return {number: value for number, value in _fields(data) if isinstance(value, int)}


def _repeated(value: int | bytes) -> list[int]:
    """Numbers of a repeated field: one by one, or packed."""
    if isinstance(value, int):
        return [value]
    found: list[int] = []
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found


def _fields(data: bytes) -> Iterator[_Field]:
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
            raise PprofError(f"it has a field of the unknown kind {kind}")
        if at + length > len(data):
            raise PprofError("it is cut")
        if kind == BYTES:
            yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(VARINT_BYTES_MAX):
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value & (1 << 64) - 1, at + place + 1
    raise PprofError("it has a number of more than 64 bits")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
