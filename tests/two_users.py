"""Two users of one machine, for tests that run as root: programs of theirs that talk to a server."""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.private_state import PUBLIC_PREFIX
from tests.waiting import PATIENCE_SECONDS

HERS, HIS = 41_001, 41_002
"""Users; neither runs the server."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

BECOME = "import os, sys; uid = int(sys.argv[1]); os.setgroups([]); os.setgid(uid); os.setuid(uid)\n"
"""The interpreter may lie where that user cannot reach it, so it is loaded before."""
TELL = (
    """
import socket
"""
    + BECOME
    + """
one = socket.socket(socket.AF_UNIX)
one.connect(sys.argv[2])
print("in", flush=True)
for line in sys.stdin.buffer:
    try:
        one.sendall(bytes.fromhex(line.decode()))
        print("told", flush=True)
    except OSError:
        print("cut off", flush=True)
"""
)
ASK = (
    """
import base64, json, socket
"""
    + BECOME
    + """
def ask(request, events):
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(float(sys.argv[3]))
        one.connect(sys.argv[2])
        one.sendall(request.encode())
        body = b""
        while not events or body.count(b"\\n\\n") < events:
            piece = one.recv(1 << 20)
            if not piece:
                break
            body += piece
    return base64.b64encode(body).decode()
print(json.dumps([ask(*one) for one in json.load(sys.stdin)]))
"""
)


class Asked(NamedTuple):
    """A request for a path; of a stream, how many events to wait for."""

    path: str
    events: int = 0
    fields: str = ""

    @property
    def text(self) -> str:
        return f"GET {self.path} HTTP/1.0\r\n{self.fields}\r\n"


class Teller:
    """A program of some user that is connected as an agent is. It says what it is told to say."""

    def __init__(self, uid: int, socket: Path) -> None:
        command = [sys.executable, "-c", TELL, str(uid), str(socket)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid
        assert self._line() == "in"

    def say(self, frame: bytes) -> bool:
        """Whether it could be sent: who breaks the format is cut off."""
        assert self._process.stdin
        self._process.stdin.write(frame.hex().encode() + b"\n")
        self._process.stdin.flush()
        return self._line() == "told"

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().decode().strip()


@contextmanager
def teller(uid: int, socket: Path) -> Iterator[Teller]:
    """One, while the context lasts."""
    program = Teller(uid, socket)
    try:
        yield program
    finally:
        program.end()


def answers(uid: int, socket: Path, asked: Sequence[Asked]) -> list[bytes]:
    """What a program of some user is answered over the server's Unix socket, heads included."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(uid), str(socket), str(PATIENCE_SECONDS)],
        input=json.dumps([(one.text, one.events) for one in asked]),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS * 2,
    )
    assert done.returncode == 0, done.stderr
    return [base64.b64decode(one) for one in json.loads(done.stdout)]


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user reaches, and only root can write to."""
    folder = Path(tempfile.mkdtemp(dir=PUBLIC_PREFIX.parent, prefix=PUBLIC_PREFIX.name))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
