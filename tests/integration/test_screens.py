"""What people see who type a command in a real terminal, and that a pipe sees none of it."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running_server import RunningServer, blackbox, environment
from tests.waiting import PATIENCE_SECONDS, until

LINES, COLUMNS = 45, 100
TRIES = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home = tmp_path_factory.mktemp("home")
    with RunningServer(home, "--demo", "--interval", "1s") as running:
        until(lambda: blackbox("at", "now", "--url", running.url, env=environment(home)).returncode == 0)
        yield running


def in_terminal(*words: str, home: Path, **variables: str) -> str:
    """What a terminal shows of a command that ends well; on a busy machine the server may need to be asked again."""
    for _ in range(TRIES):
        code, shown = once_in_terminal(*words, home=home, **variables)
        if code == 0:
            return shown
        assert "timed out" in shown or "did not answer in time" in shown, shown
    pytest.fail(f"no answer in {TRIES} tries")


def once_in_terminal(*words: str, home: Path, **variables: str) -> tuple[int, str]:
    """Its exit code, and what a terminal shows."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    env = environment(home, TERM="xterm-256color", **variables)
    for name in ("COLUMNS", "LINES"):
        env.pop(name, None)
    with subprocess.Popen(
        [sys.executable, "-m", "blackbox", *words], env=env, stdin=follower, stdout=follower, stderr=follower
    ) as program:
        os.close(follower)
        shown = b""
        while chunk := read(leader):
            shown += chunk
        code = program.wait(PATIENCE_SECONDS)
    os.close(leader)
    return code, shown.decode()


def read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # the program has ended
        return b""


COMMANDS = (("stat",), ("at", "now"), ("history", "--from", "-5m"), ("events",), ("forecast",), ("compare", "-0.1s"))


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_terminal_shows_one_screen_for_people(server: RunningServer, words: tuple[str, ...], tmp_path: Path) -> None:
    shown = in_terminal(*words, "--url", server.url, home=tmp_path, NO_COLOR="1")
    lines = shown.splitlines()
    assert "\x1b" not in shown
    assert 1 <= len(lines) <= LINES
    assert all(len(line) <= COLUMNS for line in lines)
    assert not shown.startswith("{")


def test_a_terminal_with_colours_gets_some_and_json_where_it_is_asked_for(
    server: RunningServer, tmp_path: Path
) -> None:
    assert "\x1b[" in in_terminal("stat", "--url", server.url, home=tmp_path)
    assert json.loads(in_terminal("stat", "--json", "--blocks", "none", "--url", server.url, home=tmp_path))["seq"]


def test_a_pipe_gets_json_whatever_the_terminal_would_show(server: RunningServer, tmp_path: Path) -> None:
    for words in (("stat",), ("at", "now"), ("history",)):
        done = blackbox(*words, "--url", server.url, env=environment(tmp_path, TERM="xterm-256color"))
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)


@pytest.mark.parametrize(("program", "code"), [("exit 5", 5), ("kill -TERM $$", -15), ("echo hello", 0)])
def test_a_program_run_at_a_terminal_ends_as_it_does_by_itself(program: str, code: int, tmp_path: Path) -> None:
    words = ("run", "--", "sh", "-c", program)
    found, shown = once_in_terminal(*words, home=tmp_path, BLACKBOX_PORT="1")
    assert found == code
    assert shown.startswith("blackbox: no server listens, so nothing is recorded")
    assert ("hello" in shown) == ("hello" in program)
    found, quiet = once_in_terminal("run", "--quiet", *words[1:], home=tmp_path, BLACKBOX_PORT="1")
    assert (found, "blackbox" in quiet) == (code, False)
