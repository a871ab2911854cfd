from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.cli.common import parsers
from blackbox.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0.5", 0.5), ("500ms", 0.5), ("2s", 2.0), (".25 s", 0.25), ("5m", 300.0), ("1h", 3600.0), ("1.", 1.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parsers.duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "0ms", "-1", "1y", "nan", "inf", "1e3", "1 2", "s", "٣", "9" * 400])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError):
        parsers.duration_seconds(text)


@given(st.text())
def test_any_text_is_a_value_or_a_usage_error(text: str) -> None:
    for parse in (
        parsers.port,
        parsers.count,
        parsers.duration_seconds,
        parsers.switch,
        parsers.name,
        parsers.log_level,
    ):
        with suppress(UsageError):
            assert parse(text) is not None


def test_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/h")
    assert str(parsers.path("~/x")) == "/h/x"
    with pytest.raises(UsageError, match="no home directory"):
        parsers.path("~nobody-of-that-name/x")


@pytest.mark.parametrize(("text", "factor"), [("10", 10.0), ("10x", 10.0), (" 0.5 ", 0.5)])
def test_a_speed_is_a_factor(text: str, factor: float) -> None:
    assert parsers.speed(text) == factor


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "nan", "inf", "1e9", "fast"])
def test_other_words_are_no_speed(text: str) -> None:
    with pytest.raises(UsageError):
        parsers.speed(text)
