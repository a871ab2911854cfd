"""A page per command as Markdown, out of the parsers that `--help` is made from.

`python -m blackbox.cli.reference docs/commands` writes them.
"""

import sys
from argparse import SUPPRESS, Action, ArgumentParser, HelpFormatter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from blackbox.cli import COMMANDS, Command, command_parser
from blackbox.cli.common.settings_options import all_options

MADE = "<!-- Made from `--help` by `python -m blackbox.cli.reference docs/commands`; a test compares. -->"
INDEX = "index"
INTRODUCTION = """\
`./run COMMAND` is `blackbox COMMAND` without installing it. Exit codes: 0 ok, 1 failure or no GPU, 2 usage; a command
that is interrupted ends with 130, one whose reader has left with 141.
"""
SETTINGS = """\
A flag beats a variable, a variable beats the settings file (`blackbox/config.toml` in `$XDG_CONFIG_HOME` or
`~/.config`; `--config` or `BLACKBOX_CONFIG` names another). What may be given several times is a list in the file, and
separated by commas in the variable. Of a switch, `true` and `false` are the values.

| flag | variable | key | several |
|---|---|---|---|"""

Section = tuple[str, list[Action]]
"""A heading of `--help` and the arguments under it."""


def pages() -> dict[str, str]:
    """File name and text of every page."""
    return {f"{INDEX}.md": _index()} | {f"{command.name}.md": _page(command) for command in COMMANDS}


def _index() -> str:
    rows = [f"| [`blackbox {command.name}`]({command.name}.md) | {_cell(command.help)} |" for command in COMMANDS]
    return "\n".join(["# Commands\n", MADE, "", INTRODUCTION, "| command | to |\n|---|---|", *rows, ""])


def _page(command: Command) -> str:
    parser = command_parser(command)
    sections = sections_of(parser)
    words = [f"blackbox {command.name} [OPTIONS]", *(usage_of(action) for _, actions in sections for action in actions)]
    lines = [
        f"# blackbox {command.name}\n",
        MADE,
        "",
        f"```text\n{' '.join(filter(None, words))}\n```\n",
        *_description(parser.description or ""),
    ]
    for heading, actions in sections:
        lines += [f"## {heading[:1].upper()}{heading[1:]}\n", "| argument | meaning |\n|---|---|"]
        lines += [f"| {_names(action)} | {_cell(action.help or '')} |" for action in actions]
        lines.append("")
    if command.name == "serve":
        lines += ["## As variables and in the settings file\n", SETTINGS, *_settings(), ""]
    return "\n".join(lines)


def sections_of(parser: ArgumentParser) -> list[Section]:
    """The headings and arguments that `--help` shows, in its order."""
    found: list[Section] = []

    class Collector(HelpFormatter):
        """Is told what to format, as any formatter is, and notes it."""

        def start_section(self, heading: str | None) -> None:
            found.append((heading or "", []))

        def end_section(self) -> None: ...
        def add_text(self, text: str | None) -> None: ...
        def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: Any = None) -> None: ...

        def add_arguments(self, actions: Iterable[Action]) -> None:
            found[-1][1].extend(action for action in actions if action.help is not SUPPRESS)

        def format_help(self) -> str:
            return ""

    parser.formatter_class = Collector
    parser.format_help()
    return [section for section in found if section[1]]


def _description(text: str) -> Iterator[str]:
    """The command's doc string; what is indented in it is shown as it stands."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        flowing = [line for line in lines if not line.startswith("  ")]
        indented = [f"    {line.strip()}" for line in lines if line.startswith("  ")]
        if flowing:
            yield "\n".join(flowing) + "\n"
        if indented:
            yield "\n".join(indented) + "\n"


def usage_of(action: Action) -> str:
    """A positional argument in the usage line; flags are all optional and stand in the table."""
    if action.option_strings:
        return ""
    name = value_of(action)
    return f"[{name}]" if action.nargs in ("?", "*") else name


def _names(action: Action) -> str:
    value = "" if action.nargs == 0 else value_of(action)
    if not action.option_strings:
        return f"`{value}`"
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    if not value:
        return names
    return f"{names} `[{value}]`" if action.nargs == "?" else f"{names} `{value}`"


def value_of(action: Action) -> str:
    if action.choices is not None and action.metavar is None:
        return "{" + ",".join(str(choice) for choice in action.choices) + "}"
    return str(action.metavar or action.dest.upper())


def _settings() -> Iterator[str]:
    for option in all_options():
        yield f"| `{option.flag}` | `{option.variable}` | `{option.key}` | {'yes' if option.many else ''} |"


def _cell(text: str) -> str:
    """Text in a table, where a bar would end the cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("*", "\\*").replace("%%", "%")


def main(directory: Path) -> None:
    """Writes every page, and removes those of commands that are gone."""
    directory.mkdir(parents=True, exist_ok=True)
    made = pages()
    for path in directory.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (directory / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
