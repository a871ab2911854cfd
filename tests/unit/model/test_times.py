"""Times and durations as questions write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.times import duration_seconds, unix_seconds

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


@pytest.mark.parametrize("text", ["", "0", "-1s", "1w", "1 h", "forever"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        duration_seconds(text)


@pytest.mark.parametrize(
    "text", ["0001-01-01", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "-999999999d", "1970-01-01T00:00+01:00"]
)
def test_what_is_outside_the_calendar_is_told_the_range(text: str) -> None:
    with pytest.raises(ValueError, match="is out of range: times are from 1970-01-01 to 9999-12-31, in UTC"):
        unix_seconds(text, NOW)
