"""`blackbox serve` in a process of its own, for tests that ask it as users do."""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.waiting import PATIENCE_SECONDS, until

STOP_SECONDS_MAX = PATIENCE_SECONDS
ANSWER_SECONDS_MAX = 10.0
TRUSTING = ssl._create_unverified_context()  # the certificate is the test's own


def environment(home: Path, **more: str) -> dict[str, str]:
    """The variables of a user whose files all lie in `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return kept | {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "XDG_CONFIG_HOME": str(home), **more}


def blackbox(
    *words: str, env: Mapping[str, str], seconds: float = PATIENCE_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    command = [sys.executable, "-m", "blackbox", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds, check=False)


class RunningServer:
    """`blackbox serve 0` and the words given, while the context lasts; once entered it has a sample of every source."""

    def __init__(self, home: Path, *words: str, port: int = 0, token: str = "") -> None:
        self._command = [sys.executable, "-m", "blackbox", "serve", str(port), *words]
        self._env = environment(home)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._log = home / "server.log"
        self.exit_code: int | None = None

    def __enter__(self) -> Self:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(self._command, env=self._env, stdin=subprocess.DEVNULL, stderr=log)
        try:
            self.port = self._await_port()
            self._await_first_value()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process.poll() is None:
            self.stop()

    @property
    def url(self) -> str:
        """Where it answers, by the name that certificates of tests are made for."""
        return f"{self._scheme}://localhost:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text()

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Tells it to stop; returns its exit code."""
        self._process.send_signal(with_signal)
        try:
            self.exit_code = self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        return self.exit_code

    def _await_port(self) -> int:
        found = until(lambda: re.search(r"serving (https?)://[^\s/]+:(\d+)", self._living_log()), self._trouble)
        assert found is not None
        self._scheme = found[1]
        return int(found[2])

    def _await_first_value(self) -> None:
        """Until every source has answered, well or not, and that is recorded: what a test then asks for is there."""
        until(self._is_up, self._trouble)

    def _is_up(self) -> bool:
        self._living_log()
        request = urllib.request.Request(f"{self.url}/healthz", headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS_MAX, context=TRUSTING) as answer:
                health = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                health = json.load(error)
        except OSError:
            return False
        sources, recorder = health["sources"], health["recorder"]
        is_recorded = recorder is None or recorder["state"] != "recording" or recorder["moments_total"]
        return bool(sources) and is_recorded and all(map(_has_answered, sources))

    def _living_log(self) -> str:
        """What it has logged, as long as it lives."""
        assert self._process.poll() is None, f"the server left with {self._process.returncode}: {self.log}"
        return self.log

    def _trouble(self) -> str:
        return f"the server is not ready: {self.log}"


def _has_answered(source: dict[str, Any]) -> bool:
    """It has given a sample, or said why it cannot."""
    return source["age_seconds"] is not None or source["state"] not in ("starting", "stale")
