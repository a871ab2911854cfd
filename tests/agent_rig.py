"""Real programs with the agent in them, and a real source that they report to."""

import os
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import pytest

from blackbox.model.sample import Sample
from blackbox.sources.agents.source import AgentSource
from tests.waiting import PATIENCE_SECONDS, until_value

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(__file__).with_name("agent_programs")
SHIM = ROOT / "src" / "blackbox" / "agent" / "shim"
USE_HEAP = "import blackbox_heap as heap; heap.alloc(4096); "


class AgentServer:
    """A source that listens for agents, as the daemon runs it."""

    def __init__(self, folder: Path, mode: int = 0o600) -> None:
        self.socket = folder / "agent.sock"
        self.source = AgentSource(self.socket, mode)

    def __enter__(self) -> Self:
        self.source.sample()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.source.close()

    def sample(self) -> Sample:
        return self.source.sample()

    def wait_for(self, condition: Callable[[Sample], object]) -> Sample:
        """The first sample for which the condition holds."""
        return until_value(self.sample, condition)

    def run(self, arguments: Sequence[str], **options: object) -> "subprocess.CompletedProcess[bytes]":
        """A Python program with the agent in it, from start to end."""
        return run(arguments, agent_environment(self.socket), **options)

    @contextmanager
    def program(
        self, arguments: Sequence[str], command: Sequence[str] = (), **variables: str
    ) -> "Generator[subprocess.Popen[bytes]]":
        """A Python program with the agent in it, while the context lasts."""
        environment = agent_environment(self.socket) | variables
        started = subprocess.Popen([*command, sys.executable, *arguments], env=environment, stdout=subprocess.PIPE)
        try:
            yield started
        finally:
            started.kill()
            started.communicate()


def agent_environment(socket: Path, programs: Path = PROGRAMS) -> dict[str, str]:
    """What `blackbox run` sets, and our invented framework with its probe."""
    return plain_environment(programs) | {
        "PYTHONPATH": os.pathsep.join((str(SHIM), str(programs))),
        "BLACKBOX_AGENT": "1",
        "BLACKBOX_AGENT_SOCKET": str(socket),
        "BLACKBOX_AGENT_INTERVAL": "0.05",
        "BLACKBOX_AGENT_BUDGET": "50",
        "BLACKBOX_AGENT_PROBES": "blackbox_heap=heap_probe",
    }


def plain_environment(programs: Path = PROGRAMS) -> dict[str, str]:
    """The same without the agent."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BLACKBOX", "PYTHON"))}
    return kept | {"PYTHONPATH": str(programs)}


def run(
    arguments: Sequence[str], environment: Mapping[str, str], python: str = sys.executable
) -> "subprocess.CompletedProcess[bytes]":
    """A Python program, from start to end."""
    return subprocess.run(
        [python, *arguments], env=environment, capture_output=True, timeout=PATIENCE_SECONDS, check=False
    )


class Listener:
    """A source that listens for agents in a process of its own, so that it can be stopped, killed and weighed."""

    def __init__(self, socket: Path, mode: int = 0o600) -> None:
        self.socket = socket
        command = [sys.executable, "-m", "tests.agent_listener", socket, f"{mode:o}"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.log = ""
        """What it wrote to standard error, once it is closed."""

    def __enter__(self) -> Self:
        self.sample()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._process.kill()
        self.log = self._process.communicate(timeout=PATIENCE_SECONDS)[1]

    def sample(self) -> Sample:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=Sample)

    def wait_for(self, condition: Callable[[Sample], object]) -> Sample:
        """The first sample for which the condition holds."""
        return until_value(self.sample, condition)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def resident_bytes(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def other_python(version: str) -> str:
    """An interpreter that works, from the path or where pyenv keeps them; without one the test is skipped."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python")
    for candidate in (f"python{version}", *map(str, kept)):
        with suppress(OSError):
            if run(["-c", "pass"], os.environ, candidate).returncode == 0:
                return candidate
    pytest.skip(f"no Python {version} here")
