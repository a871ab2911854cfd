"""Engines that fall asleep when nobody asks: the observer must neither wake them nor keep them awake."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from blackbox.model.parts import InferenceEngine
from blackbox.sources.engines import watch
from blackbox.sources.engines.address import Address
from blackbox.sources.engines.source import EngineSource
from tests.genuine import case
from tests.waiting import until, until_value

VISITS = 5


@pytest.fixture(autouse=True)
def asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ASK_SECONDS", 0.1)
    monkeypatch.setattr(watch, "ASK_SECONDS_MAX", 0.2)


class SleepyServer:
    """The server of the case, and what it prints."""

    def __init__(self, program: Path, port: int, seconds: float) -> None:
        self.address = Address("127.0.0.1", port)
        self._process = subprocess.Popen(
            [sys.executable, "-u", program, str(port), str(seconds), "-v"], stdout=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        with suppress(ValueError):
            self.lines.extend(self._process.stdout or ())


@contextmanager
def sleepy(port: int, seconds: float) -> Iterator[SleepyServer]:
    server = SleepyServer(case("llama-sleep-kept-awake") / "server.py", port, seconds)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def engine(source: EngineSource) -> InferenceEngine | None:
    return next(iter(source.sample().engines), None)


def visits(source: EngineSource) -> float:
    return source.sample().cost["visits_total"]


def test_a_llama_cpp_that_is_watched_falls_asleep_and_is_not_woken(port: int) -> None:
    with sleepy(port, 1.0) as server:
        source = EngineSource(set, [server.address])
        try:
            until_value(lambda: engine(source), lambda found: found is not None and found.sleeping is False)
            until_value(lambda: engine(source), lambda found: found is not None and found.sleeping is True)
            before = visits(source)
            until(lambda: visits(source) >= before + VISITS)
            found = engine(source)
        finally:
            source.close()
        assert found is not None
        assert (found.sleeping, found.requests_running) == (True, 0)
        assert server.said("sleeps, memory given back")
        assert not server.said("GET /slots")
