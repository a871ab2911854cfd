"""pprof's message, read without its library."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.jax_profile.pprof import PprofError, parse
from tests.jax_profiles import Held, profile
from tests.protobuf import message, number, varint

NAMES = st.text(st.characters(codec="utf-8"), max_size=10)
HELD = st.builds(
    Held,
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.dictionaries(NAMES, NAMES, max_size=3),
    st.lists(st.tuples(NAMES, NAMES, st.integers(0, 1 << 31)), max_size=4),
)


@given(st.lists(HELD, max_size=5))
def test_what_is_written_is_read(held: list[Held]) -> None:
    found = parse(profile(*held))
    assert found.sample_types == (("allocations", "count"), ("space", "bytes"))
    assert len(found.samples) == len(held)
    for sample, one in zip(found.samples, held, strict=True):
        assert sample.values == (one.blocks, one.size)
        assert sample.labels == dict(one.labels)
        lines = [line for location in sample.locations for line in found.locations[location]]
        frames = [(*found.functions[line.function], line.line) for line in lines]
        assert frames == [tuple(frame) for frame in one.stack]


def test_numbers_that_are_not_packed_and_fields_of_a_version_to_come_are_read_over() -> None:
    data = message(2, number(1, 7), number(1, 8), number(2, 3)) + message(6) + number(99, 1)
    data += varint(98 << 3 | 1) + bytes(8) + varint(97 << 3 | 5) + bytes(4) + number(9, 1_700_000_000)
    found = parse(data)
    assert (found.samples[0].locations, found.samples[0].values) == ((7, 8), (3,))
    assert found.time_nanoseconds == 1_700_000_000


@given(st.integers(1, 200))
def test_one_that_is_cut_is_refused_or_shorter_and_never_anything_else(end: int) -> None:
    whole = profile(Held(1, 5, {"kind": "buffer", "device": "gpu:0"}, [("f", "a.py", 3)]))
    try:
        found = parse(whole[: -min(end, len(whole) - 1)])
    except PprofError:
        return
    assert len(found.samples) <= 1


@pytest.mark.parametrize(
    "data",
    [b"\x80" * 11, b"\x0b", b"\x12\xff\x01", message(1, number(1, 5)), message(6, b"\xff")],
    ids=["endless number", "group", "longer than the file", "text that is not there", "no text"],
)
def test_bytes_that_are_none_are_refused(data: bytes) -> None:
    with pytest.raises(PprofError):
        parse(data)
