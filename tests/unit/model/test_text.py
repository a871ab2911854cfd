"""Sizes, durations and times, printed and parsed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.text import (
    duration,
    duration_seconds,
    millisecond_end,
    rate,
    rfc3339,
    rfc3339_seconds,
    signed,
    size,
    size_bytes,
    who,
)
from tests import figures

KIB, MIB, GIB = 1024, 1024**2, 1024**3


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (size(0), "0 B"),
        (size(1023), "1023 B"),
        (size(-1.5 * MIB), "-1.5 MiB"),
        (size(80 * GIB), "80.0 GiB"),
        (size(5000 * 1024**4), "5000.0 TiB"),
        (signed(GIB), "+1.0 GiB"),
        (signed(-GIB), "-1.0 GiB"),
        (signed(0), "0 B"),
        (duration(45), "45 s"),
        (duration(600), "10 min"),
        (duration(3 * 3600), "3.0 h"),
        (duration(3 * 86_400), "3.0 days"),
        (rate(2 * MIB), "120.0 MiB/min"),
        (rate(MIB / 30), "2.0 MiB/min"),
        (rate(MIB / 1800), "34.1 KiB/min"),
        (who("python", 7), "python (pid 7)"),
        (who(None, 7), "pid 7"),
    ],
)
def test_words(found: str, expected: str) -> None:
    assert found == expected


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("90", 90.0), ("15m", 900.0), ("7d", 604_800.0)])
def test_durations(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "0", "0h0m", "-1s", "1s 2", "1m1h", "1h1h", "1mo", "1e3", "9" * 400, "forever"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        duration_seconds(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.5", 0.5),
        ("500ms", 0.5),
        ("2s", 2),
        ("5m", 300),
        ("7d", 604_800),
        ("1.", 1),
        (".5", 0.5),
        (" 90 s ", 90),
        ("1h30m", 5400),
        ("1 hour 30 minutes", 5400),
        ("1.5H", 5400),
        ("1w", 604_800),
        ("1w2d3h4m5s6ms", 788_645.006),
    ],
)
def test_a_duration_is_written_the_same_way_everywhere(text: str, seconds: float) -> None:
    from blackbox.cli.common import parsers

    assert duration_seconds(text) == parsers.duration_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("5", 5), ("1K", 1024), ("500M", 500 << 20), ("2 GiB", 2 << 30), ("1.5t", 3 << 39), ("2GB", 2 << 30)],
)
def test_sizes_are_counted_in_steps_of_1024(text: str, count: int) -> None:
    assert size_bytes(text) == count


@pytest.mark.parametrize("text", ["", "-1", "G", "1X", "9" * 400])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        size_bytes(text)


@given(st.integers(0, 4_000_000_000_000))
def test_a_printed_time_is_read_again(milliseconds: int) -> None:
    assert rfc3339_seconds(rfc3339(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(0, 4_000_000_000_000), st.integers(0, 998))
def test_the_end_of_a_millisecond_is_after_all_that_is_printed_so(milliseconds: int, beyond: int) -> None:
    end = millisecond_end(rfc3339_seconds(rfc3339(milliseconds / 1000)))
    assert milliseconds / 1000 + beyond / 1_000_000 <= end < (milliseconds + 1) / 1000


def test_the_pages_own_test_has_the_figures_that_are_told_here() -> None:
    """Written by `python -m tests.figures`; the page tells the same in `web/test/format.test.ts`."""
    assert json.loads(figures.FILE.read_text()) == json.loads(json.dumps(figures.figures()))
