"""Lines of fragments: widths, cutting, ANSI codes."""

import re

from hypothesis import given
from hypothesis import strategies as st

from blackbox.terminal.layout import (
    ELLIPSIS,
    Fragment,
    Look,
    TextLine,
    ansi,
    beside,
    clipped,
    cut,
    fit,
    plain,
    printable,
    spread,
    text_width,
    width_of,
    wrapped,
)

CODES = re.compile(r"\x1b\[[0-9;]*m")


@given(st.text(), st.integers(0, 40), st.sampled_from(["left", "right"]))
def test_what_is_fitted_has_the_width_exactly(text: str, width: int, align: str) -> None:
    assert text_width(fit(text, width, align)) == width  # type: ignore[arg-type]


@given(st.text(), st.integers(0, 40))
def test_what_is_cut_says_so(text: str, width: int) -> None:
    found = cut(text, width)
    assert text_width(found) <= width
    assert found == printable(text) or width == 0 or found.endswith(ELLIPSIS)


@given(st.text())
def test_no_name_of_a_process_moves_the_cursor(text: str) -> None:
    assert printable(text).isprintable()


def test_a_wide_sign_takes_two_columns() -> None:
    assert text_width("模型") == 4
    assert fit("模型x", 3) == "模…"


@given(st.text(alphabet="ab ", max_size=60), st.integers(2, 20), st.integers(0, 1))
def test_wrapped_lines_fit(text: str, width: int, indent: int) -> None:
    assert all(text_width(line) <= width for line in wrapped(text, width, indent))


def test_wrapping_loses_no_word() -> None:
    assert wrapped("is refused memory at about 17:15", 12, 2) == ["is refused", "  memory at", "  about", "  17:15"]


LINE: TextLine = (Fragment("ab", Look(ink=196, bold=True)), Fragment("cd"))


@given(st.integers(0, 8))
def test_a_clipped_line_fits(width: int) -> None:
    assert width_of(clipped(LINE, width)) == min(4, width)


def test_two_lines_stand_on_one() -> None:
    assert plain(beside(LINE, LINE, 6)) == "abcd  abcd"
    assert plain(beside(LINE, LINE, 3)) == "ab…abcd"
    assert plain(spread(LINE, (Fragment("end"),), 10)) == "abcd   end"
    assert width_of(spread(LINE, (Fragment("end"),), 5)) == 5


def test_looks_become_codes() -> None:
    assert ansi(LINE, 256) == "\x1b[1;38;5;196mab\x1b[0mcd"
    assert ansi((Fragment("x", Look(ink=1, ground=12)),), 16) == "\x1b[31;104mx\x1b[0m"
    assert CODES.sub("", ansi(LINE, 256)) == ansi(LINE, 0) == "abcd"
