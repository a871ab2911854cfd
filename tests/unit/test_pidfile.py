"""Servers announce themselves; only those alive are found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from blackbox.errors import FailureError
from blackbox.pidfile import RunningServer, announced, running_servers


def test_a_server_is_found_while_it_runs(tmp_path: Path) -> None:
    with announced(tmp_path, 7001), announced(tmp_path, 7000):
        assert running_servers(tmp_path) == [RunningServer(os.getpid(), 7000), RunningServer(os.getpid(), 7001)]
    assert running_servers(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_killed_server_is_not_found(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys; from blackbox.pidfile import announced\n"
        "with announced(pathlib.Path(sys.argv[1]), 7000): print('up', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout
        assert server.stdout.readline() == b"up\n"
        assert running_servers(tmp_path) == [RunningServer(server.pid, 7000)]
        server.kill()
    assert running_servers(tmp_path) == []
    with announced(tmp_path, 7000):
        assert len(running_servers(tmp_path)) == 1


def test_the_second_server_of_a_port_is_refused(tmp_path: Path) -> None:
    with (
        announced(tmp_path, 7000),
        pytest.raises(FailureError, match="held by another server"),
        announced(tmp_path, 7000),
    ):
        pass


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "server-7000.pid").symlink_to(victim)
    with pytest.raises(FailureError, match="cannot write"), announced(tmp_path, 7000):
        pass
    assert victim.read_text() == "precious"
    assert running_servers(tmp_path) == []


def test_files_that_are_none_of_ours_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "server-x.pid").write_text("1")
    (tmp_path / "server-7000.pid").write_bytes(b"\xff")
    assert running_servers(tmp_path) == []
    assert running_servers(tmp_path / "missing") == []


@pytest.mark.fault(67)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_row_67_a_stranger_names_no_process_but_his_own(tmp_path: Path) -> None:
    """Else 'blackbox release', asked where his files are, would signal whatever process he names."""
    tmp_path.chmod(0o777)
    script = (
        "import fcntl, os, sys; os.setuid(65534)\n"
        "file = os.open('server-7000.pid', os.O_CREAT | os.O_RDWR, 0o644); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "os.write(file, (sys.argv[1] if len(sys.argv) > 1 else str(os.getpid())).encode()); print(flush=True); input()"
    )
    for named, is_found in ((str(os.getpid()), False), ("1", False), (None, True)):
        arguments = [sys.executable, "-c", script, *([named] if named else [])]
        with subprocess.Popen(arguments, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
            assert stranger.stdout
            assert stranger.stdout.readline() == b"\n"
            assert running_servers(tmp_path) == ([RunningServer(stranger.pid, 7000)] if is_found else [])
            stranger.kill()
        (tmp_path / "server-7000.pid").unlink()
