"""What the command line says: what was meant, what there is, and nothing that it would refuse itself."""

import ast
import re
import shlex
from collections.abc import Collection
from functools import cache
from pathlib import Path

import pytest

import blackbox.cli as cli

PACKAGE = Path(cli.__file__).parents[1]
NAMES = [command.name for command in cli.COMMANDS]
PLACEHOLDERS = {"PROGRAM": "true", "FILE": "x.pickle", "TIME": "now", "PID": "4711", "SHELL": "bash", "N": "1"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stst"], "there is no command 'stst'; did you mean 'stat'?"),
        (["hisotry", "--from", "1h"], "did you mean 'history'?"),
        (["zzz"], "there are serve,"),
        (["stat", "--comapct"], "did you mean '--compact'?"),
        (["events", "--form=1h"], "did you mean '--from'?"),
        (["stat", "--blocks", "ful"], "'ful' is none of full, summary, none; did you mean 'full'?"),
    (["run", "--extras", "histroy", "--", "true"], "none of threads, history, cupti; did you mean 'history'?"),
    ],
)  # fmt: skip
def test_a_slip_is_answered_with_what_was_meant(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == cli.EXIT_USAGE
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


def test_a_bare_command_line_says_what_it_is_at_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([]) == cli.EXIT_USAGE
    capsys.readouterr()
    monkeypatch.setattr(cli.sys.stdout, "isatty", lambda: True)
    assert cli.main([]) == 0
    assert "flight recorder for GPU memory" in capsys.readouterr().out


def recommendations() -> list[tuple[str, str]]:
    """Every command line of ours in a text of the program, between quotes or backticks, and lines of the welcome."""
    found: list[tuple[str, str]] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found += [(path.name, words) for words in re.findall(r"['`](blackbox [^'`{}\n]+)['`]", node.value)]
    found += [("welcome", line) for line in re.findall(r"^  (blackbox .*?)(?:   |$)", cli.WELCOME, re.M)]
    return found


@cache
def flags_of(name: str) -> Collection[str]:
    parser = cli.command_parser(next(command for command in cli.COMMANDS if command.name == name))
    return parser._option_string_actions  # pyright: ignore[reportPrivateUsage]


def test_nothing_is_recommended_that_the_command_line_refuses() -> None:
    lines = recommendations()
    assert len(lines) > 20
    for where, line in lines:
        words = [PLACEHOLDERS.get(word, word) for word in shlex.split(line)[1:]]
        if words[0].startswith("-") or words[0].isupper():
            continue
        assert words[0] in NAMES, f"{where}: {line}"
        known = flags_of(words[0])
        flags = [word for word in words[1 : words.index("--") if "--" in words else None] if word.startswith("--")]
        assert [flag for flag in flags if flag.partition("=")[0] not in known] == [], f"{where}: {line}"


def test_flags_that_select_have_one_name_everywhere() -> None:
    """A range is `--from` and `--to`, whatever else it may be called."""
    for command in cli.COMMANDS:
        known = flags_of(command.name)
        assert ("--since" in known) <= ("--from" in known)
        assert ("--until" in known) <= ("--to" in known)
        assert ("--compact" in known) <= ("--json" in known), command.name
