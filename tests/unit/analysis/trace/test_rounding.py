"""Sizes of blocks by PyTorch's rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.trace.rounding import Rules, divisions_of
from tests.caching_allocator import MIB, CachingAllocator


@pytest.mark.parametrize(
    ("requested", "divisions", "rounded"),
    [
        (1, 0, 512),
        (512, 0, 512),
        (513, 0, 1024),
        (1200 * 1024, 0, 1200 * 1024),
        (1200 * 1024, 4, 1280 * 1024),
        (1025, 4, 1536),
        (3 * MIB, 2, 3 * MIB),
        (3 * MIB + 1, 2, 4 * MIB),
        (2 * MIB, 8, 2 * MIB),
    ],
)
def test_requests_are_rounded(requested: int, divisions: int, rounded: int) -> None:
    assert Rules((divisions,) * 16).rounded(requested) == rounded


@given(st.integers(1, 1 << 40), st.dictionaries(st.sampled_from([str(1 << k) for k in range(16)]), st.integers(0, 64)))
def test_rounding_is_the_allocators_own(requested: int, divisions: dict[str, int]) -> None:
    powers = {key: 1 << value.bit_length() >> 1 for key, value in divisions.items()}
    rules = Rules(divisions_of(powers))
    assert rules.rounded(requested) == CachingAllocator(divisions=powers).round(requested) >= requested


@given(st.integers(0, 1 << 60), st.integers(1, 1 << 30))
def test_any_setting_makes_blocks_that_hold_the_request(requested: int, divisions: int) -> None:
    """Also one that no allocator would take."""
    assert Rules((divisions,) * 16).rounded(requested) >= requested


@pytest.mark.parametrize("setting", [None, [], "x", {1: 2}, {"1": "x", "2": -4, "4": 1 << 70}])
def test_settings_that_make_no_sense_are_no_settings(setting: object) -> None:
    assert divisions_of(setting) == (0,) * 16


def test_what_is_kept_back_by_the_largest_size_that_is_split() -> None:
    rules = Rules(max_split_bytes=128 * MIB)
    assert not rules.may_serve(46 * MIB, 136 * MIB)
    assert rules.may_serve(46 * MIB, 127 * MIB)
    assert rules.may_serve(130 * MIB, 149 * MIB)
    assert not rules.may_serve(130 * MIB, 150 * MIB)
    assert Rules().may_serve(1, 1 << 40)
