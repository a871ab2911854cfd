"""The width of `--help`: the one that `argparse` finds by `shutil`."""

import shutil
import subprocess
import sys

import pytest

from blackbox.cli.common.paragraphs import HELP_MARGIN, PlainHelpFormatter


@pytest.mark.parametrize("columns", ["50", "200", "0", "-3", "wide", "", None])
def test_the_width_is_that_of_the_terminal_as_shutil_tells_it(
    columns: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    assert PlainHelpFormatter("blackbox")._width == shutil.get_terminal_size().columns - HELP_MARGIN  # pyright: ignore


def test_a_parser_brings_in_no_archives() -> None:
    program = "import sys; from blackbox.cli import build_parser; build_parser(['serve']); print('lzma' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
