"""Rules of the user's own: which category memory belongs to, by the frames of its stack or by the program's tag.

A file of lines `name = pattern`. A pattern is a text that a frame (`file:line function`) or tag contains; with `*`, `?`
or `[...]` in it, one that a part of it matches. No regular expressions: some of these take for ever on a short text.
"""

from fnmatch import fnmatchcase
from typing import NamedTuple

FILE_BYTES_MAX = 64 << 10
"""Two hundred rules, and what is said of them, take less."""
RULES_MAX = 200
"""Each is tried on every distinct frame of a file, of which there are some thousands."""
NAME_CHARS_MAX = 60
"""As a line of a report has room for."""
PATTERN_CHARS_MAX = 200
"""Frames are cut to as many."""
GLOB = frozenset("*?[")
COMMENT = "#"


class RulesError(ValueError):
    """A file of rules that cannot be used; the text says why, and in which line."""


class CategoryRules(NamedTuple):
    """Names and patterns, in the order of the file; the first that matches holds."""

    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    def first(self, text: str) -> int | None:
        """The first rule that matches a frame or a tag; None where none does."""
        return next((place for place, pattern in enumerate(self.patterns) if _matches(pattern, text)), None)

    def category_of(self, text: str) -> str | None:
        """The name that the first rule that matches gives."""
        place = self.first(text) if text else None
        return None if place is None else self.names[place]


NO_RULES = CategoryRules()


def parse_rules(data: bytes) -> CategoryRules:
    """The rules in a file. Raises `RulesError`."""
    if len(data) > FILE_BYTES_MAX:
        raise RulesError(f"it is larger than the {FILE_BYTES_MAX >> 10} KiB that rules may take")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise RulesError("it is not text in UTF-8") from None
    names: list[str] = []
    patterns: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.strip().startswith(COMMENT):
            name, pattern = _rule(number, line)
            names.append(name)
            patterns.append(pattern)
    if not names:
        raise RulesError("it holds no rule; a rule is a line `name = pattern`")
    if len(names) > RULES_MAX:
        raise RulesError(f"{len(names)} rules are more than the {RULES_MAX} that are tried")
    return CategoryRules(tuple(names), tuple(patterns))


def _rule(number: int, line: str) -> tuple[str, str]:
    name, equals, pattern = (part.strip() for part in line.partition("="))
    if not (name and equals and pattern):
        raise RulesError(f"line {number}: not `name = pattern`")
    if len(name) > NAME_CHARS_MAX or not name.isprintable():
        raise RulesError(f"line {number}: a name has at most {NAME_CHARS_MAX} characters, all of them printable")
    if len(pattern) > PATTERN_CHARS_MAX:
        raise RulesError(f"line {number}: a pattern has at most {PATTERN_CHARS_MAX} characters")
    return name, pattern


def _matches(pattern: str, text: str) -> bool:
    return fnmatchcase(text, f"*{pattern}*") if GLOB.intersection(pattern) else pattern in text
