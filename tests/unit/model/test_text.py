"""Sizes, durations and times, printed and parsed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.text import (
    duration,
    duration_seconds,
    rate,
    rfc3339,
    rfc3339_seconds,
    signed,
    size,
    size_bytes,
    unix_seconds,
    who,
)

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
        (rate(2 * MIB), "2.0 MiB/s"),
        (rate(MIB / 30), "2.0 MiB/min"),
        (rate(MIB / 1800), "2.0 MiB/h"),
        (rate(KIB / 86_400), "1.0 KiB/day"),
        (who("python", 7), "python (pid 7)"),
        (who(None, 7), "pid 7"),
    ],
)
def test_words(found: str, expected: str) -> None:
    assert found == expected


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("1795384919.25", 1795384919.25),
        ("2026-11-22T03:12:07Z", 1795317127.0),
        ("2026-11-22T03:12:07", 1795317127.0),
        ("2026-11-22T04:12:07+01:00", 1795317127.0),
        ("2026-11-22T04:12:07 01:00", 1795317127.0),
        ("2026-11-22T03:12:07.500Z", 1795317127.5),
        ("2026-11-22 03:12:07", 1795317127.0),
        ("2026-11-22", 1795305600.0),
        ("-15m", NOW - 900),
        ("-1.5h", NOW - 5400),
        ("-2d", NOW - 172_800),
        ("-30", NOW - 30),
    ],
)
def test_every_form(text: str, seconds: float) -> None:
    assert unix_seconds(text, NOW) == seconds


@pytest.mark.parametrize("text", ["", "now", "1e9", "inf", "nan", "-", "-0s", "--5m", "99999999999999", "2026-13-01"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no (time|duration)"):
        unix_seconds(text, NOW)


@given(st.text(max_size=30).filter(lambda text: not any(letter.isdigit() for letter in text)))
def test_text_without_a_number_is_one_line_of_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]+ is no (time|duration): [^\n]+\Z"):
        unix_seconds(text, NOW)


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("90", 90.0), ("15m", 900.0), ("7d", 604_800.0)])
def test_durations(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1s", "1w", "1s 2", "1e3", "9" * 400, "forever"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        duration_seconds(text)


@pytest.mark.parametrize(
    "text", ["0001-01-01", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "-999999999d", "1970-01-01T00:00+01:00"]
)
def test_what_is_outside_the_calendar_is_told_the_range(text: str) -> None:
    with pytest.raises(ValueError, match="is out of range: times are from 1970-01-01 to 9999-12-31, in UTC"):
        unix_seconds(text, NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0.5", 0.5), ("500ms", 0.5), ("2s", 2), ("5m", 300), ("7d", 604_800), ("1.", 1), (".5", 0.5), (" 90 s ", 90)],
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
