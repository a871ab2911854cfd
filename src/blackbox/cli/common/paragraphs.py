"""Text for people at a terminal: broken between words, never within one and never cut; in a pipe as it is."""

import os
import sys
import textwrap
from argparse import HelpFormatter as StandardFormatter
from argparse import RawDescriptionHelpFormatter
from typing import TextIO

WIDTH_MIN, WIDTH_MAX = 40, 160
"""Narrower terminals are written on all the same, wider ones not to their end: eyes lose the line."""
WIDTH_UNKNOWN = 80
"""Of a terminal that does not tell."""
HELP_MARGIN = 2
"""Columns that `argparse` leaves free."""


def say(text: str, stream: TextIO, hang: int = 0) -> None:
    """Prints it, with lines that fit where the stream is a terminal; see `fitted`."""
    width = terminal_width(stream)
    print(text if width is None else fitted(text, width, hang), file=stream, flush=True)


def terminal_width(stream: TextIO) -> int | None:
    """Columns of the terminal behind the stream; None where there is none."""
    if not stream.isatty():
        return None
    try:
        columns = os.get_terminal_size(stream.fileno()).columns or WIDTH_UNKNOWN
    except (OSError, ValueError):
        columns = WIDTH_UNKNOWN
    return min(WIDTH_MAX, max(WIDTH_MIN, columns))


def fitted(text: str, width: int, hang: int = 0) -> str:
    """The text with its longer lines broken at blanks; what follows is moved in like the line itself, and by `hang`
    more. A word longer than the width stays whole: it may be a path or an address to copy."""
    return "\n".join(_broken(line, width, hang) for line in text.split("\n"))


def _broken(line: str, width: int, hang: int) -> str:
    if len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip(" "))]
    return textwrap.fill(
        line.lstrip(" "),
        width,
        initial_indent=indent,
        subsequent_indent=indent + " " * hang,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )


class PlainHelpFormatter(StandardFormatter):
    """That of `argparse`, told the width that it would ask `shutil` for, whose archives take a server 0.6 MiB."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_help_width())


def _help_width() -> int:
    """Columns of the terminal, but for a margin."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns) - HELP_MARGIN
    try:
        found = None if sys.__stdout__ is None else os.get_terminal_size(sys.__stdout__.fileno()).columns
    except (OSError, ValueError):  # a closed one, or no terminal
        found = None
    return (found or WIDTH_UNKNOWN) - HELP_MARGIN


class HelpFormatter(PlainHelpFormatter, RawDescriptionHelpFormatter):
    """Of `--help`: descriptions keep their lines where the terminal is as wide as they are, and fit it elsewhere."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:  # noqa: ARG002 - of argparse, always empty
        return "\n\n".join(_refilled(paragraph, width) for paragraph in text.split("\n\n"))


def _refilled(paragraph: str, width: int) -> str:
    lines = paragraph.split("\n")
    if any(line.startswith(" ") for line in lines) or all(len(line) <= width for line in lines):
        return fitted(paragraph, width)
    return fitted(" ".join(lines), width)
