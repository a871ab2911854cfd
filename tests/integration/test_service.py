"""`blackbox service`: the unit as systemd judges it, its way in and out, and a server that says when it is ready."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running_server import blackbox, environment
from tests.tools import tool
from tests.waiting import PATIENCE_SECONDS

EXPOSURE_MAX = 3.0
"""Of 10; a unit that says nothing has 9.6."""
REFUSED = 2


def printed(tmp_path: Path, *words: str) -> Path:
    """The unit in a file of its own. The program it names must be there for systemd."""
    done = blackbox("service", "print", *words, env=environment(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    unit = tmp_path / "blackbox.service"
    unit.write_text(done.stdout)
    return unit


def analyze(*words: str | Path) -> str:
    command = [tool("systemd-analyze", "systemd"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--system",),
        ("--user",),
        ("--system", "--", "7000", "--token-file", "/etc/blackbox/token", "--host", "0.0.0.0"),
        ("--system", "--", "--allowed-host", 'odd "name" of 100 % $HOME'),
    ],
)
def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path, words: tuple[str, ...]) -> None:
    manager = ["--user"] if "--user" in words else []
    assert analyze(*manager, "verify", printed(tmp_path, *words)) == ""


@pytest.mark.parametrize("words", [(), ("--", "--host", "0.0.0.0", "--no-auth")], ids=["loopback", "wide"])
def test_the_service_of_a_machine_is_exposed_little(tmp_path: Path, words: tuple[str, ...]) -> None:
    told = analyze("security", "--offline=true", "--no-pager", printed(tmp_path, "--system", *words))
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
    assert level, told
    assert float(level[1]) <= EXPOSURE_MAX


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("print", "--", "--no-such-flag"), "--no-such-flag"),
        (("print", "--", "--interval", "1ms"), "--interval"),
        (("print", "--no-such-flag"), "--no-such-flag"),
        (("print", "7000"), "7000"),
        (("print", "--start"), "install"),
        (("uninstall", "--", "7000"), "uninstall"),
        (("start",), "start"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(tmp_path: Path, words: tuple[str, ...], complaint: str) -> None:
    done = blackbox("service", *words, env=environment(tmp_path))
    assert done.returncode == REFUSED
    assert done.stdout == ""
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1


class Control:
    """A `systemctl` that notes what it is asked, since no test may touch the machine's own."""

    def __init__(self, tmp_path: Path) -> None:
        self._said = tmp_path / "said"
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "systemctl"
        program.write_text(f'#!/bin/sh\necho "$*" >>"{self._said}"\n')
        program.chmod(0o755)
        self.env = environment(tmp_path, PATH=f"{folder}:/usr/bin:/bin")
        self.unit = tmp_path / "systemd/user/blackbox.service"

    def service(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return blackbox("service", *words, env=self.env)

    def asked(self) -> list[str]:
        """What systemctl was asked since the last time."""
        lines = self._said.read_text().splitlines() if self._said.exists() else []
        self._said.write_text("")
        return lines


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(tmp_path)


def test_nothing_is_started_unless_it_is_asked_for(control: Control) -> None:
    done = control.service("install", "--user")
    assert (done.returncode, done.stderr) == (0, "")
    assert control.asked() == ["--user daemon-reload"]
    assert "systemctl --user enable --now blackbox" in done.stdout
    assert control.unit.read_text() == control.service("print", "--user").stdout
    assert control.unit.stat().st_mode & 0o777 == 0o644

    assert control.service("install", "--user", "--start", "--", "7000").returncode == 0
    assert control.asked() == ["--user daemon-reload", "--user enable blackbox", "--user restart blackbox"]
    assert "serve 7000\n" in control.unit.read_text()


def test_uninstall_stops_it_and_removes_the_unit(control: Control) -> None:
    control.service("install", "--user")
    control.asked()
    done = control.service("uninstall", "--user")
    assert done.returncode == 0, done.stderr
    assert control.asked() == ["--user disable --now blackbox", "--user daemon-reload"]
    assert not control.unit.exists()
    assert control.service("uninstall", "--user").returncode == 1


def test_a_unit_of_somebody_else_is_left_alone(control: Control) -> None:
    control.unit.parent.mkdir(parents=True)
    control.unit.write_text("[Service]\nExecStart=/bin/true\n")
    for action in ("install", "uninstall"):
        done = control.service(action, "--user")
        assert done.returncode == 1
        assert "left as it is" in done.stderr
    assert control.unit.read_text() == "[Service]\nExecStart=/bin/true\n"
    assert control.asked() == []


def test_a_machine_without_systemd_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = blackbox("service", "install", "--user", env=environment(tmp_path, PATH=str(tmp_path / "empty")))
    assert done.returncode == 1
    assert "no systemctl" in done.stderr


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found:
        found.bind(str(tmp_path / "notify"))
        found.settimeout(PATIENCE_SECONDS)
        yield found


def test_a_server_says_when_it_is_ready_and_when_it_stops(manager: socket.socket, tmp_path: Path) -> None:
    env = environment(tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify"))
    command = [sys.executable, "-m", "blackbox", "serve", "0", "--demo", "--no-record"]
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            state, _, status = manager.recv(4096).decode().partition("\n")
            assert state == "READY=1"
            port = re.fullmatch(r"STATUS=serving http://localhost:(\d+)/vram", status)
            assert port, status
            with socket.create_connection(("127.0.0.1", int(port[1])), timeout=PATIENCE_SECONDS):
                pass  # who was told that it is ready can connect at once
            server.send_signal(signal.SIGTERM)
            assert manager.recv(4096).startswith(b"STOPPING=1\n")
        finally:
            server.terminate()
    assert server.returncode == 0
