"""Times as people write them: one grammar, in whatever zone, and nothing guessed."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.times import (
    TIME_FORMS,
    TIME_SECONDS_MAX,
    file_stamp,
    local_text,
    of_file_stamp,
    seconds_ago,
    unix_seconds,
)

NOW = 1_800_000_000.0
BERLIN = ZoneInfo("Europe/Berlin")
ZONES: tuple[tzinfo, ...] = (
    UTC,
    BERLIN,
    ZoneInfo("America/Sao_Paulo"),
    ZoneInfo("Asia/Kathmandu"),
    ZoneInfo("Australia/Lord_Howe"),  # its clocks move by half an hour
    ZoneInfo("Pacific/Apia"),  # a whole day never was there
)


def read(text: str, now: float, zone: tzinfo) -> float | str:
    """The instant, or why there is none."""
    try:
        return unix_seconds(text, now, zone)
    except ValueError as error:
        return str(error)


FORMS = ("-{}", "{} ago", "{}")
instants = st.integers(86_400 * 366, 4_000_000_000)
"""Seconds, far from the ends of the calendar."""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("1795384919.25", 1795384919.25),
        ("2026-11-22T03:12:07Z", 1795317127.0),
        ("2026-11-22T03:12:07", 1795317127.0),
        ("2026-11-22T04:12:07+01:00", 1795317127.0),
        ("2026-11-22T04:12:07 01:00", 1795317127.0),
        ("2026-11-22 04:12:07 +0100", 1795317127.0),
        ("2026-11-22T03:12:07.500Z", 1795317127.5),
        ("2026-11-22 03:12:07", 1795317127.0),
        ("2026-11-22 04:12:07 Europe/Berlin", 1795317127.0),
        ("20261122T031207Z", 1795317127.0),
        ("2026-11-22", 1795305600.0),
        ("2026-W47-7", 1795305600.0),
        ("-15m", NOW - 900),
        ("-1.5h", NOW - 5400),
        ("-2d", NOW - 172_800),
        ("-30", NOW - 30),
        ("now", NOW),
        ("5m", NOW - 300),
        ("1h30m", NOW - 5400),
        ("-1h30m", NOW - 5400),
        ("1w", NOW - 604_800),
        ("10 minutes ago", NOW - 600),
        ("an hour ago", NOW - 3600),
        (" 90 s ago ", NOW - 90),
    ],
)
def test_every_form(text: str, seconds: float) -> None:
    assert unix_seconds(text, NOW) == seconds


NOON = datetime(2026, 10, 25, 12, 0, 0, tzinfo=BERLIN).timestamp()
"""A Sunday, on whose night clocks were put back from 3:00 to 2:00."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("11:03", "2026-10-25 11:03:00 CET"),
        ("12:03", "2026-10-24 12:03:00 CEST"),
        ("12:00", "2026-10-25 12:00:00 CET"),
        ("9 am", "2026-10-25 09:00:00 CET"),
        ("12pm", "2026-10-25 12:00:00 CET"),
        ("12:30am", "2026-10-25 00:30:00 CEST"),
        ("yesterday 14:00", "2026-10-24 14:00:00 CEST"),
        ("Yesterday at 2pm", "2026-10-24 14:00:00 CEST"),
        ("14:00 yesterday", "2026-10-24 14:00:00 CEST"),
        ("today", "2026-10-25 00:00:00 CEST"),
        ("yesterday", "2026-10-24 00:00:00 CEST"),
        ("today 18:00", "2026-10-25 18:00:00 CET"),
        ("tuesday 09:00", "2026-10-20 09:00:00 CEST"),
        ("Sun 11:00", "2026-10-25 11:00:00 CET"),
        ("sunday 12:01", "2026-10-18 12:01:00 CEST"),
        ("11:00 UTC", "2026-10-25 12:00:00 CET"),
        ("11:01Z", "2026-10-24 13:01:00 CEST"),
        ("2026-10-25T02:30+02:00", "2026-10-25 02:30:00 CEST"),
        ("2026-10-25T02:30+01:00", "2026-10-25 02:30:00 CET"),
    ],
)
def test_a_time_of_day_is_of_the_zone_and_of_the_past(text: str, shown: str) -> None:
    assert local_text(unix_seconds(text, NOON, BERLIN), BERLIN) == shown


@pytest.mark.parametrize("text", ["2026-03-29 02:30", "2026-03-29T02:00"])
def test_what_clocks_skipped_never_was(text: str) -> None:
    with pytest.raises(ValueError, match="never was: clocks were put forward"):
        unix_seconds(text, NOON, BERLIN)


def test_what_clocks_showed_twice_is_asked_back_with_both() -> None:
    for text in ("2:30", "2026-10-25 02:30"):
        with pytest.raises(ValueError, match="was twice") as refused:
            unix_seconds(text, NOON, BERLIN)
        first, second = str(refused.value).partition("say ")[2].split(" or ")
        assert unix_seconds(second, NOON, BERLIN) - unix_seconds(first, NOON, BERLIN) == 3600


@pytest.mark.parametrize(
    "text",
    ["", "1e9", "inf", "nan", "-", "-0s", "--5m", "99999999999999", "2026-13-01", "25:00", "13pm", "12:60", "5 pies"],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no (time|duration)"):
        unix_seconds(text, NOW)


@pytest.mark.parametrize("name", ["CST", "Europe", "Europe/Nowhere", "Zone"])
def test_a_zone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no time zone that this machine knows"):
        unix_seconds(f"12:03 {name}", NOW)


@pytest.mark.parametrize(
    "text", ["0001-01-01", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "-999999999d", "1970-01-01T00:00+01:00"]
)
def test_what_is_outside_the_calendar_is_told_the_range(text: str) -> None:
    with pytest.raises(ValueError, match="is out of range: times are from 1970-01-01 to 9999-12-31, in UTC"):
        unix_seconds(text, NOW)


@given(
    st.text(max_size=30).filter(lambda text: not any(letter.isdigit() for letter in text)).filter(
        lambda text: text.strip().lower() not in ("now", "today", "yesterday") and " ago" not in text
    )
)  # fmt: skip
def test_text_without_a_number_is_one_line_of_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]+ is no (time|duration): [^\n]+\Z"):
        unix_seconds(text, NOW)


@given(
    st.lists(
        st.sampled_from(
            [
                "12:03",
                "7",
                ":30",
                "pm",
                "-5m",
                "1h30m",
                "10",
                "minutes",
                "ago",
                "an",
                "now",
                "today",
                "yesterday",
                "monday",
                "T",
                "Z",
                "+01:00",
                "Europe/Berlin",
                "UTC",
                "at",
                ",",
                "2026-10-25",
                "9999-12-31",
                "0001-01-01",
                "ago",
            ]
        ),
        max_size=5,
    ),
    st.sampled_from(["", " "]),
    st.sampled_from(ZONES),
)
def test_whatever_is_read_is_in_the_calendar_and_the_rest_is_one_line(words: list[str], by: str, zone: tzinfo) -> None:
    found = read(by.join(words), NOW, zone)
    assert "\n" not in found if isinstance(found, str) else 0 <= found <= TIME_SECONDS_MAX


@given(instants, st.sampled_from(ZONES))
def test_what_was_shown_is_read_again(seconds: int, zone: tzinfo) -> None:
    with_offset = datetime.fromtimestamp(seconds, zone).isoformat()
    assert unix_seconds(with_offset, NOW, UTC) == seconds
    assert unix_seconds(str(seconds), NOW, zone) == seconds


@given(
    st.dates(date(1980, 1, 1), date(2037, 12, 31)),
    st.times().map(lambda one: one.replace(microsecond=0)),
    st.sampled_from(ZONES),
)
def test_wall_time_is_the_instant_at_which_clocks_show_it_or_refused(day: date, clock: time, zone: tzinfo) -> None:
    wall = datetime.combine(day, clock)
    either = {wall.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)}
    shown = {one for one in either if datetime.fromtimestamp(one, zone).replace(tzinfo=None) == wall}
    found = read(wall.isoformat(" "), NOW, zone)
    if isinstance(found, str):
        assert ("was twice" if shown else "never was") in found
        assert len(shown) != 1
    else:
        assert shown == {found}


@given(st.times().map(lambda one: one.replace(microsecond=0)), instants, st.sampled_from(ZONES))
def test_a_time_of_day_alone_is_the_last_time_that_clocks_showed_it(clock: time, now: int, zone: tzinfo) -> None:
    found = read(clock.isoformat(), now, zone)
    if isinstance(found, str):
        assert "was twice" in found or "never was" in found
        return
    assert found <= now
    assert now - found < timedelta(days=2, hours=1).total_seconds()
    assert datetime.fromtimestamp(found, zone).time() == clock


@given(
    st.integers(0, 9), st.integers(0, 30), st.integers(0, 30), st.integers(1, 90), st.sampled_from(FORMS)
)  # fmt: skip
def test_a_duration_in_any_form_is_that_long_ago(weeks: int, days: int, hours: int, minutes: int, form: str) -> None:
    seconds = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes).total_seconds()
    for written in (
        f"{weeks}w{days}d{hours}h{minutes}m",
        f"{weeks} weeks {days} days {hours} hours {minutes} minutes",
    ):
        text = form.format(written)
        assert seconds_ago(text) == seconds
        assert unix_seconds(text, NOW) == NOW - seconds


def test_the_forms_that_a_refusal_names_are_read() -> None:
    for text in ("now", "-5m", "1h30m", "10 minutes ago", "12:03", "yesterday 14:00", "2026-11-22T03:12:07Z"):
        assert text in TIME_FORMS
        assert unix_seconds(text, NOW) <= NOW


@given(st.integers(0, 253_402_300_799))
def test_a_time_in_the_name_of_a_file_is_read_as_it_was_written(seconds: int) -> None:
    assert of_file_stamp(file_stamp(seconds)) == seconds


@pytest.mark.parametrize(
    "stamp", ["", "20261122", "2026-11-22T03:12", "20261122T0312+01", "20261322T031207Z", "20261122T031207", "x" * 16]
)
def test_what_is_no_such_time_is_refused(stamp: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - as of a number
        of_file_stamp(stamp)
