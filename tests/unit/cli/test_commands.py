"""The command line as a whole: what it imports, and how it ends."""

import subprocess
import sys
from argparse import Namespace
from types import SimpleNamespace
from typing import NoReturn

import pytest

import blackbox.cli as cli
from blackbox.errors import FailureError, UsageError
from tests.waiting import PATIENCE_SECONDS

HEAVY = (
    "asyncio",
    "uvloop",
    "httptools",
    "msgspec",
    "prometheus_client",
    "zstandard",
    "yaml",
    "logging",
    "ssl",
    "http",
)


@pytest.mark.parametrize("words", [["--help"], *([command.name, "--help"] for command in cli.COMMANDS)])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys, blackbox.cli\n"
        "try: blackbox.cli.main(sys.argv[2:])\n"
        "except SystemExit as left: assert left.code == 0\n"
        "loaded = set(sys.modules) & set(sys.argv[1].split(','))\n"
        "sys.exit(f'imported: {loaded}' if loaded else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, ",".join(HEAVY), *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: blackbox")


def test_every_command_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for command in cli.COMMANDS:
        with pytest.raises(SystemExit):
            cli.main([command.name, "--help"])
        assert command.help
        assert len(capsys.readouterr().out.splitlines()) > 5


def run_with(error: BaseException, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...] = ()) -> int:
    def run(_: Namespace) -> NoReturn:
        raise error

    module = SimpleNamespace(__doc__="Fail.", configure=lambda parser: None, run=run)  # pyright: ignore
    monkeypatch.setitem(sys.modules, "failing", module)  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(cli, "COMMANDS", (cli.Command("fail", "failing", "fails"),))
    return cli.main(["fail", *words])


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UsageError("no such\nthing"), 2, "blackbox: no such thing\n"),
        (FailureError("the disk is full"), 1, "blackbox: the disk is full\n"),
        (KeyboardInterrupt(), 130, ""),
        (
            ValueError("oops\nagain"),
            1,
            "blackbox: fault in Blackbox: ValueError: oops again (--log-level debug tells where)\n",
        ),
    ],
)
def test_every_end_has_its_code_and_one_line(
    error: BaseException, code: int, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(error, monkeypatch) == code
    assert capsys.readouterr().err == text


def test_debugging_shows_where_a_fault_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_with(ValueError("oops"), monkeypatch, ("--log-level=debug",)) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["nonsense"], ["stat", "--nonsense"], ["--nonsense"], ["serve", "1", "2"]])
def test_bad_usage_is_one_line_and_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("blackbox: ")


def test_the_version_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    for main, words in [(cli.main, ["-V"]), (cli.main, ["stat", "--version"]), (cli.main_server, ["-V"])]:
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code in (0, None)
        assert capsys.readouterr().out.startswith("blackbox 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_every_command_and_flag(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in [*(command.name for command in cli.COMMANDS), "--token-file", "--watch"]:
        assert word.removeprefix("--") in script
