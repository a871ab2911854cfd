"""pprof's profile format: a protobuf message, read without its library (docs/decisions/0007-pprof.md).

Field numbers are those of `profile.proto`. What has another number is skipped, as the format asks.
"""

from typing import NamedTuple

from blackbox.sources.protobuf import Field, ProtobufError, fields, numbers, repeated


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


def parse(data: bytes) -> Profile:
    """The profile in `data`. Raises `PprofError`."""
    try:
        return _profile(list(fields(data)))
    except ProtobufError as error:
        raise PprofError(str(error)) from None
    except (IndexError, UnicodeDecodeError) as error:
        raise PprofError(f"it is cut or broken: {type(error).__name__}") from None


def _profile(whole: list[Field]) -> Profile:
    texts = [value.decode() for number, value in whole if number == 6 and isinstance(value, bytes)]
    parts: dict[int, list[bytes]] = {1: [], 2: [], 4: [], 5: []}
    time_nanoseconds = 0
    for number, value in whole:
        if number in parts and isinstance(value, bytes):
            parts[number].append(value)
        elif number == 9 and isinstance(value, int):
            time_nanoseconds = value
    types = [numbers(part) for part in parts[1]]
    return Profile(
        tuple((texts[one.get(1, 0)], texts[one.get(2, 0)]) for one in types),
        tuple(_sample(part, texts) for part in parts[2]),
        dict(map(_location, parts[4])),
        {(one := numbers(part)).get(1, 0): _function(one, texts) for part in parts[5]},
        time_nanoseconds,
    )


def _sample(data: bytes, texts: list[str]) -> ProfileSample:
    locations: list[int] = []
    values: list[int] = []
    labels: dict[str, str] = {}
    for number, value in fields(data):
        if number == 1:
            locations.extend(repeated(value))
        elif number == 2:
            values.extend(map(_signed, repeated(value)))
        elif number == 3 and isinstance(value, bytes):
            label = numbers(value)
            if 2 in label:
                labels[texts[label.get(1, 0)]] = texts[label[2]]
    return ProfileSample(tuple(locations), tuple(values), labels)


def _location(data: bytes) -> tuple[int, tuple[ProfileLine, ...]]:
    lines = [numbers(value) for number, value in fields(data) if number == 4 and isinstance(value, bytes)]
    return numbers(data).get(1, 0), tuple(ProfileLine(one.get(1, 0), _signed(one.get(2, 0))) for one in lines)


def _function(numbers: dict[int, int], texts: list[str]) -> ProfileFunction:
    return ProfileFunction(texts[numbers.get(2, 0)], texts[numbers.get(4, 0)])


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
