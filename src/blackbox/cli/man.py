"""Manual pages, out of the parsers that `--help` is made from: `blackbox.1`, and one for each command.

`python -m blackbox.cli.man DIRECTORY` writes them, as the wheel does when it is built; the standard library is enough.
"""

import re
import sys
from argparse import Action
from collections.abc import Iterator
from pathlib import Path

from blackbox.cli import COMMANDS, Command, command_parser
from blackbox.cli.common.settings_options import all_options
from blackbox.cli.reference import sections_of, usage_of, value_of

SECTION = "1"
"""Of the manual: programs."""
EXIT_CODES = (
    ("0", "all is well"),
    ("1", "a failure, or no GPU"),
    ("2", "what was asked for makes no sense"),
    ("130", "interrupted"),
    ("141", "whoever read the output has left"),
)
FILES = (
    ("~/.config/blackbox/config.toml", "settings of the server; blackbox-serve(1) has the keys"),
    ("~/.local/state/blackbox", "the recording"),
)


def pages() -> dict[str, str]:
    """File name and text of every page."""
    found = {f"blackbox.{SECTION}": "\n".join(_index()) + "\n"}
    return found | {f"blackbox-{command.name}.{SECTION}": "\n".join(_page(command)) + "\n" for command in COMMANDS}


def _index() -> Iterator[str]:
    yield from _head("blackbox", "the flight recorder for GPU memory")
    yield from (".SH SYNOPSIS", r"\fBblackbox\fR \fICOMMAND\fR [\fIOPTIONS\fR]")
    yield from (".SH DESCRIPTION", "One small server per machine that knows, to the byte, who holds the memory of its")
    yield "GPUs and what for, records it, and tells anyone who asks, over plain HTTP."
    yield ".SH COMMANDS"
    for command in COMMANDS:
        yield from _item(rf"\fBblackbox\-{_text(command.name)}\fR({SECTION})", command.help)
    yield ".SH FILES"
    for path, meaning in FILES:
        yield from _item(rf"\fI{_text(path)}\fR", meaning)
    yield from _exit_codes()


def _page(command: Command) -> Iterator[str]:
    parser = command_parser(command)
    sections = sections_of(parser)
    yield from _head(f"blackbox-{command.name}", command.help)
    words = filter(None, (usage_of(action) for _, actions in sections for action in actions))
    yield ".SH SYNOPSIS"
    yield rf"\fBblackbox {_text(command.name)}\fR [\fIOPTIONS\fR] {_text(' '.join(words))}".rstrip()
    yield ".SH DESCRIPTION"
    yield from _description(parser.description or "")
    for heading, actions in sections:
        yield f".SH {_text(heading.upper())}"
        for action in actions:
            yield from _item(_names(action), action.help or "")
    if command.name == "serve":
        yield ".SH ENVIRONMENT"
        for option in all_options():
            yield from _item(rf"\fB{option.variable}\fR", f"as {option.flag}; {option.key} in the settings file")
    yield from _exit_codes()
    yield from (".SH SEE ALSO", rf"\fBblackbox\fR({SECTION})")


def _head(name: str, summary: str) -> Iterator[str]:
    yield f'.TH "{_text(name.upper())}" "{SECTION}" "" "Blackbox" "Blackbox"'
    yield ".nh"
    yield from (".SH NAME", rf"{_text(name)} \- {_text(summary)}")


def _exit_codes() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, meaning in EXIT_CODES:
        yield from _item(rf"\fB{code}\fR", meaning)


def _description(text: str) -> Iterator[str]:
    """Paragraphs; what is indented stands as it is."""
    for paragraph in text.split("\n\n"):
        yield ".PP"
        literal = False
        for line in paragraph.splitlines():
            if line.startswith("  ") != literal:
                literal = not literal
                yield ".EX" if literal else ".EE"
            yield _text(line) or "."
        if literal:
            yield ".EE"


def _item(name: str, meaning: str) -> Iterator[str]:
    yield from (".TP", name, _text(" ".join(meaning.replace("%%", "%").split())) or r"\&")


def _names(action: Action) -> str:
    value = "" if action.nargs == 0 else rf" \fI{_text(value_of(action))}\fR"
    if not action.option_strings:
        return rf"\fI{_text(value_of(action))}\fR"
    return ", ".join(rf"\fB{_text(name)}\fR" for name in action.option_strings) + value


def _text(text: str) -> str:
    """Text that troff takes as it stands."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    for sign, name in (("`", "ga"), ("~", "ti"), ("^", "ha"), ("'", "aq")):
        escaped = escaped.replace(sign, rf"\({name}")
    return re.sub(r"^([.'])", r"\\&\1", escaped)


def main(directory: Path) -> None:
    """Writes every page."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (directory / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
