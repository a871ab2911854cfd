"""A page for every command, which says what its `--help` says."""

import re
from pathlib import Path

import pytest

from blackbox import cli
from blackbox.cli import reference
from blackbox.cli.common.settings_options import all_options
from tests.pages import COMMANDS

NAMES = [command.name for command in cli.COMMANDS]


def help_of(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    return capsys.readouterr().out


def test_the_pages_are_up_to_date() -> None:
    written = {path.name: path.read_text() for path in COMMANDS.iterdir()}
    assert written == reference.pages(), "out of date: ./run pages"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_lists_the_flags_of_help_and_no_other(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, arguments = help_of(name, capsys).partition("show this help message")
    columns = re.findall(r"^  (-.*?)(?:  .*)?$", arguments, re.M)
    offered = {flag for column in columns for flag in re.findall(r"--[\w-]+", column)} | {"--help"}
    rows = re.findall(r"^\| (`.*?) \|", reference.pages()[f"{name}.md"].partition("\n## As variables")[0], re.M)
    assert {flag for row in rows for flag in re.findall(r"`(--[\w-]+)`", row)} == offered


@pytest.mark.parametrize("name", NAMES)
def test_a_page_begins_as_help_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    described = next(line for line in help_of(name, capsys).split("\n\n")[1].splitlines() if line)
    assert described in reference.pages()[f"{name}.md"]


def test_the_page_of_serve_tells_every_setting() -> None:
    page = reference.pages()["serve.md"]
    for option in all_options():
        assert f"| `{option.flag}` | `{option.variable}` | `{option.key}` |" in page


def test_a_page_of_a_command_that_is_gone_is_removed(tmp_path: Path) -> None:
    (tmp_path / "gone.md").write_text("# blackbox gone\n")
    reference.main(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == {*NAMES, "index"}
