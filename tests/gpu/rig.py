"""A server that watches the real GPU, and programs that use it, say what they hold, and wait."""

import json
import os
import select
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.running_server import RunningServer, environment
from tests.waiting import until_value

PROGRAMS = Path(__file__).with_name("programs")
ROOT = Path(__file__).parents[2]
SHIM = ROOT / "src" / "blackbox" / "agent" / "shim"
WAIT_SECONDS_MAX = 30.0
"""Fails a hung test; PyTorch takes ten seconds to start on a busy machine."""
JsonObject = dict[str, Any]


class Server:
    """`blackbox serve` in a folder of its own, with a socket for agents."""

    def __init__(self, home: Path, *words: str) -> None:
        self.home = home
        self.socket = home / "agent.sock"
        data = home / "data"
        data.mkdir(exist_ok=True)
        self._running = RunningServer(home, "--agent-socket", str(self.socket), "--data-dir", str(data), *words)
        self.data = data

    def __enter__(self) -> Self:
        self._running.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._running.__exit__(kind, error, at)

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def port(self) -> int:
        return self._running.port

    def get(self, path: str) -> JsonObject:
        with urllib.request.urlopen(f"{self._running.url}{path}", timeout=30) as answer:
            return json.load(answer)

    def vram(self) -> JsonObject:
        return self.get("/vram")

    def wait_for(self, condition: Callable[[JsonObject], object], path: str = "/vram") -> JsonObject:
        """The first answer for which the condition holds."""
        return until_value(lambda: self.get(path), condition)

    def cost(self, source: str) -> dict[str, float]:
        """What a source says it has cost."""
        answer = self.get("/vram?blocks=none")
        return next(one["cost"] for one in answer["sources"] if one["name"] == source)


class Program:
    """One of `programs/`, which prints a line of JSON when it is ready and one for each line it is sent."""

    def __init__(
        self,
        python: str,
        name: str,
        *words: object,
        socket: Path | None = None,
        extras: str = "",
        variables: dict[str, str] | None = None,
    ) -> None:
        """With a socket, the agent is in it."""
        self._command = [python, str(PROGRAMS / name), *map(str, words)]
        self._environment = agent_environment(socket, extras) if socket else dict(os.environ)
        self._environment |= variables or {}
        self.facts: JsonObject = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self.facts = self._read()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: str = "") -> JsonObject:
        """Sends a line and returns what the program says to it."""
        assert self._process.stdin
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        return self._read()

    def kill(self) -> None:
        """Ends it, and what it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate(timeout=WAIT_SECONDS_MAX)

    def _read(self) -> JsonObject:
        assert self._process.stdout
        while select.select([self._process.stdout], [], [], WAIT_SECONDS_MAX)[0]:
            line = self._process.stdout.readline()
            if line.startswith("{"):
                return json.loads(line)
            assert line, f"{self._command} ended with {self._process.wait(WAIT_SECONDS_MAX)}"
        raise AssertionError(f"{self._command} says nothing")


def agent_environment(socket: Path, extras: str = "") -> dict[str, str]:
    """What `blackbox run` sets."""
    path = os.pathsep.join(filter(None, (str(SHIM), os.environ.get("PYTHONPATH"))))
    variables = {"PYTHONPATH": path, "BLACKBOX_AGENT": "1", "BLACKBOX_AGENT_SOCKET": str(socket)}
    return {**os.environ, **variables, **({"BLACKBOX_AGENT_EXTRAS": extras} if extras else {})}


def blackbox(*words: str, home: Path, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
    """A command, to its end."""
    command = [sys.executable, "-m", "blackbox", *words]
    return subprocess.run(
        command, env=environment(home), cwd=home, capture_output=True, text=True, timeout=seconds, check=False
    )


def row(answer: JsonObject, pid: int) -> JsonObject | None:
    """The process's row."""
    return next((one for one in answer["processes"] if one["pid"] == pid), None)


def blocks(answer: JsonObject, pid: int) -> list[JsonObject]:
    """The process's blocks."""
    return [one for one in answer["blocks"] if one["pid"] == pid]


def reports(pid: int, allocated_bytes: int | None = None) -> Callable[[JsonObject], object]:
    """Whether the agent in the process has told its blocks; where given, those that make up so many live bytes."""

    def told(answer: JsonObject) -> bool:
        placed = [block for block in blocks(answer, pid) if block["address"]]
        live = sum(block["size"] for block in placed if block["allocated"])
        return bool(placed) and allocated_bytes in (None, live)

    return told
