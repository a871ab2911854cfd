"""What `blackbox run` changes in a program's environment, and what it answers when there is no program."""

import subprocess
import sys

import pytest

from blackbox.cli import main
from tests.waiting import PATIENCE_SECONDS


@pytest.mark.parametrize("words", [["run"], ["run", "--"], ["run", "--nonsense", "--", "true"]])
def test_no_program_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("program", "code"),
    [
        (["sh", "-c", "exit 5"], 5),
        (["no-such-program-anywhere"], 127),
        (["/"], 126),
        (["sh", "-c", "kill -TERM $$"], -15),
        (["sh", "-c", 'test "$1" = --help && exit 9', "sh", "--help"], 9),
    ],
)
def test_the_exit_code_is_the_programs_own(program: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "blackbox", "run", "--", *program],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == code
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == (1 if code in (126, 127) else 0)
