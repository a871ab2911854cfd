"""SIGHUP: the files that say who may ask are read again; where a terminal was closed, the server leaves."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.running_server import RunningServer, environment
from tests.waiting import PATIENCE_SECONDS, until


def status(server: RunningServer, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{server.url}/vram", headers=headers, timeout=PATIENCE_SECONDS).status_code


@pytest.mark.fault(59)
def test_row_59_sighup_reads_the_token_again_and_keeps_every_stream(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("first\n")
    with RunningServer(tmp_path, "--demo", "--no-record", "--token-file", str(token_file), token="first") as server:
        headers = {"Authorization": "Bearer first"}
        with requests.get(
            f"{server.url}/vram/stream", headers=headers, stream=True, timeout=PATIENCE_SECONDS
        ) as stream:
            lines = (line for line in stream.iter_lines() if line.startswith(b"id: "))
            next(lines)
            token_file.write_text("second\n")
            os.kill(server.pid, signal.SIGHUP)
            until(lambda: "read again" in server.log)
            assert (status(server, "first"), status(server, "second")) == (401, 200)
            next(lines)
            token_file.write_text("not one token\n")
            os.kill(server.pid, signal.SIGHUP)
            until(lambda: "stays in force" in server.log)
            assert status(server, "second") == 200
            next(lines)
        assert server.stop() == 0


@pytest.mark.fault(59)
def test_row_59_a_closed_terminal_ends_the_server_as_sigterm_does(tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    log = tmp_path / "server.log"
    command = [sys.executable, "-m", "blackbox", "serve", "0", "--demo", "--no-record"]
    with log.open("w") as opened:
        server = subprocess.Popen(command, env=environment(tmp_path), stdin=terminal, stderr=opened)
    try:
        os.close(terminal)
        until(lambda: "serving http" in log.read_text())
        server.send_signal(signal.SIGHUP)
        assert server.wait(PATIENCE_SECONDS) == 0
        assert "stopping" in log.read_text()
    finally:
        server.kill()
        server.wait()
        os.close(master)
