"""The manual: a page for every command, which groff sets without a word, and which says what `--help` says."""

import re
import subprocess
from pathlib import Path

import pytest

from blackbox import cli
from blackbox.cli import man
from blackbox.cli.common.settings_options import all_options
from tests.tools import tool
from tests.waiting import PATIENCE_SECONDS

PAGES = man.pages()


def set_by_groff(text: str) -> str:
    command = [tool("groff", "groff-base"), "-man", "-Tascii", "-P-cbou", "-ww", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_command_has_a_page() -> None:
    assert set(PAGES) == {"blackbox.1", *(f"blackbox-{command.name}.1" for command in cli.COMMANDS)}


@pytest.mark.parametrize("name", PAGES)
def test_groff_has_nothing_to_say_against_it(name: str) -> None:
    assert set_by_groff(PAGES[name]).startswith(name.removesuffix(".1").upper()[:20])


def test_the_page_of_serve_has_every_flag_and_variable() -> None:
    shown = set_by_groff(PAGES["blackbox-serve.1"])
    for option in all_options():
        assert re.search(rf"{option.flag}\b", shown), option.flag
        assert option.variable in shown


def test_the_first_page_has_every_command() -> None:
    shown = set_by_groff(PAGES["blackbox.1"])
    for command in cli.COMMANDS:
        assert f"blackbox-{command.name}(1)" in shown


@pytest.mark.parametrize("text", [".TH evil", "'br", "back\\slash", "a-b `c` ~d ^e", '* "quoted" %'])
def test_text_is_set_as_it_is_written(text: str) -> None:
    assert text in set_by_groff(f".TH X 1\n.SH NAME\n{man._text(text)}\n")


def test_pages_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    man.main(tmp_path / "new" / "man1")
    assert {path.name for path in (tmp_path / "new" / "man1").iterdir()} == set(PAGES)
