"""What `blackbox run` changes in a program's environment, and which of its command lines need no more than that."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.cli import build_parser
from blackbox.errors import UsageError
from blackbox.launch import SHIM, environment, plain_run
from tests.waiting import PATIENCE_SECONDS

WORDS = (
    "run",
    "--",
    "--socket",
    "--extras",
    "--socket=/x",
    "--extras=",
    "--ncu",
    "--help",
    "-h",
    "python",
    "-c",
    "",
    "a=b",
)


def test_the_agent_is_put_before_the_users_own_path() -> None:
    assert environment({"PYTHONPATH": "/mine", "HOME": "/h"}, None, None) == {
        "HOME": "/h",
        "PYTHONPATH": f"{SHIM}:/mine",
        "BLACKBOX_AGENT": "1",
    }


def test_an_off_switch_stays_off() -> None:
    assert environment({"BLACKBOX_AGENT": "0"}, None, None)["BLACKBOX_AGENT"] == "0"


def test_flags_become_variables() -> None:
    changed = environment({}, "/run/x.sock", "threads,history")
    assert changed["BLACKBOX_AGENT_SOCKET"] == "/run/x.sock"
    assert changed["BLACKBOX_AGENT_EXTRAS"] == "threads,history"


def test_the_shim_is_where_it_is_said_to_be() -> None:
    assert Path(SHIM, "sitecustomize.py").is_file()


@given(st.lists(st.sampled_from(WORDS), max_size=6).map(lambda words: ["run", *words]))
def test_a_plain_run_is_what_the_whole_command_line_makes_of_it(words: list[str]) -> None:
    run = plain_run(words)
    if run is None:
        return
    try:
        arguments = build_parser(["run"]).parse_args(words)
    except (UsageError, SystemExit):
        pytest.fail(f"{words} is no valid command line")
    program = arguments.program[1:] if arguments.program[:1] == ["--"] else arguments.program
    assert list(run.program) == program
    assert (run.socket, run.extras) == (arguments.socket, arguments.extras)
    assert (arguments.ncu, arguments.attach, arguments.log_level) == (False, None, None)


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--", "python", "train.py"],
        ["run", "python", "train.py", "--help"],
        ["run", "--extras", "history", "--socket=/run/x", "--", "sh", "-c", "exit"],
    ],
)
def test_the_common_ways_to_run_are_plain(words: list[str]) -> None:
    assert plain_run(words) is not None


@pytest.mark.parametrize("words", [["stat"], ["run"], ["run", "--ncu", "--", "x"], ["--version"], ["run", "--help"]])
def test_everything_else_is_for_the_whole_command_line(words: list[str]) -> None:
    assert plain_run(words) is None


def test_a_run_imports_neither_argparse_nor_typing() -> None:
    code = "import sys; print('\\n'.join({'argparse', 'typing', 'pathlib', 're', 'blackbox.cli'} & set(sys.modules)))"
    watched = "import sys, os, blackbox.__main__ as entrance; os.execvp = lambda *_: (exec(sys.argv[-1]), sys.exit(7))"
    command = [sys.executable, "-S", "-c", f"{watched}; entrance.main()", "run", "--", "x", code]
    path = str(Path(SHIM).parents[2])
    done = subprocess.run(
        command, env={"PYTHONPATH": path}, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (7, [], "")


@pytest.mark.parametrize(
    ("awaited", "said"),
    [
        ("", "done"),
        ("import atexit; atexit.register(print, ' told')", "done told\n"),
        ("import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print(' after'))).start()",
         "done after\n"),
    ],
)  # fmt: skip
def test_a_command_ends_at_once_where_nobody_waits_for_its_end(awaited: str, said: str) -> None:
    last = "class Last:\n def __del__(self, say=print): say(' taken apart')"
    kept = f"kept = None if {awaited!r} else Last()"
    program = f"import sys\n{last}\nfrom blackbox import launch\n{kept}\n{awaited}\nsys.stdout.write('done')\n"
    ended = subprocess.run(
        [sys.executable, "-c", f"{program}sys.exit(launch.end(3))"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, said, "")
