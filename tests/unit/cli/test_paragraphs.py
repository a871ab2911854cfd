"""Text at a terminal is broken between words; nothing of it is lost."""

import io
import os
import pty
import termios
from argparse import ArgumentParser
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.cli import COMMANDS, WELCOME, Command, command_parser
from blackbox.cli.common.paragraphs import WIDTH_MIN, HelpFormatter, fitted, say

NARROW = 80
WORDS = st.lists(st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=30))
TEXTS = st.builds(lambda indent, words: " " * indent + " ".join(words), st.integers(0, 8), WORDS)


@given(text=st.lists(TEXTS, max_size=4).map("\n".join), width=st.integers(WIDTH_MIN, 120), hang=st.integers(0, 4))
def test_no_word_is_lost_or_broken_and_lines_fit(text: str, width: int, hang: int) -> None:
    found = fitted(text, width, hang)
    assert found.split() == text.split()
    assert all(len(line) <= width or " " not in line.strip() for line in found.split("\n"))


@given(text=TEXTS)
def test_what_fits_stays_as_it_is(text: str) -> None:
    assert fitted(text, max(1, len(text))) == text


def test_in_a_pipe_nothing_is_broken() -> None:
    stream = io.StringIO()
    say("word " * 100, stream)
    assert stream.getvalue() == "word " * 100 + "\n"


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal of 80 columns."""
    controller, ours = pty.openpty()
    termios.tcsetwinsize(ours, (24, NARROW))
    yield controller, ours
    os.close(controller)
    os.close(ours)


def test_at_a_terminal_lines_hang(terminal: tuple[int, int]) -> None:
    controller, ours = terminal
    with os.fdopen(os.dup(ours), "w") as stream:
        say("  -> " + "word " * 30, stream, hang=3)
    first, second, *_ = os.read(controller, 4096).decode().splitlines()
    assert first.startswith("  -> word")
    assert second.startswith("     word")
    assert max(len(first), len(second)) <= NARROW


def test_the_welcome_fits_the_smallest_terminal() -> None:
    assert max(map(len, WELCOME.splitlines())) <= NARROW


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_help_of_every_command_fits(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(NARROW))
    shown = command_parser(command).format_help()
    assert [line for line in shown.splitlines() if len(line) > NARROW] == []


def test_a_list_in_a_description_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(NARROW))
    description = "word " * 20 + "\nmore words.\n\nexamples:\n  a\n  b"
    shown = ArgumentParser(description=description, formatter_class=HelpFormatter).format_help()
    assert "\n\nexamples:\n  a\n  b" in shown
    assert "word more words." in " ".join(shown.split())
