"""The whole server as a process: started, asked, signalled and stopped, with a fake driver below it."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from blackbox.pidfile import running_servers
from tests.fake_nvml import FakeDriver, gpu_uuid
from tests.running_server import environment
from tests.waiting import PATIENCE_SECONDS, SLACK_SECONDS, until

STOP_SECONDS_MAX = 3.0


class RunningDaemon:
    """One `blackbox serve`, its log, and its answers."""

    def __init__(self, runtime: Path, *flags: str) -> None:
        self.runtime = runtime
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "blackbox", "serve", "--port", "0", *flags],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(runtime),
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        until(lambda: self.url or self.process.poll() is not None)
        assert self.url, self.log

    @property
    def url(self) -> str | None:
        found = re.search(r"serving (\S+)/vram", "".join(self.log))
        return found[1] if found else None

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=PATIENCE_SECONDS)

    def vram(self) -> dict[str, Any]:
        """The snapshot; an empty one while the server has none."""
        response = self.get("/vram")
        return response.json() if response.status_code == 200 else {"sources": [{"state": None}], "gpus": []}

    def source(self) -> dict[str, Any]:
        return self.vram()["sources"][0]

    def until_state(self, state: str) -> float:
        began_at = time.monotonic()
        until(lambda: self.source()["state"] == state)
        return time.monotonic() - began_at

    def children(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task")
        return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Exit code, and the seconds it took."""
        began_at = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECONDS)
        return code, time.monotonic() - began_at

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stderr
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr
        self.log += iter(self.process.stderr.readline, "")

    def text(self) -> str:
        return "".join(self.log)


Start = Callable[..., RunningDaemon]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def start(*flags: str) -> RunningDaemon:
            return stack.enter_context(contextlib.closing(RunningDaemon(tmp_path, *flags)))

        yield start


@pytest.fixture
def daemon(start: Start, fake_driver: FakeDriver) -> RunningDaemon:
    fake_driver.populate(8, 4)
    daemon = start()
    daemon.until_state("ok")
    return daemon


def test_demo_says_that_nothing_is_real(start: Start) -> None:
    daemon = start("--demo")
    until(lambda: daemon.vram().get("simulated"))
    assert "SIMULATED" in daemon.text()
    assert daemon.children() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_gracefully(daemon: RunningDaemon, number: signal.Signals) -> None:
    children = daemon.children()
    assert len(children) == 1
    code, seconds = daemon.stop(number)
    assert code == 0
    assert seconds <= STOP_SECONDS_MAX + SLACK_SECONDS
    until(lambda: not Path(f"/proc/{children[0]}").exists())
    assert "Traceback" not in daemon.text()


def test_the_figures_of_the_driver_are_served(daemon: RunningDaemon) -> None:
    snapshot = daemon.vram()
    assert len(snapshot["gpus"]) == 8
    assert len(snapshot["processes"]) == 32
    assert snapshot["total_bytes"] == (
        snapshot["used_bytes"] + snapshot["free_bytes"] + snapshot["driver_reserved_bytes"]
    )
    until(lambda: daemon.get("/healthz").status_code == 200)


def test_a_server_without_tls_holds_openssl_only_once_somebody_needs_it(daemon: RunningDaemon) -> None:
    maps = Path(f"/proc/{daemon.process.pid}/maps")
    held = maps.read_text()
    assert "uvloop" in held
    assert "libssl" not in held
    assert "libcrypto" not in held
    assert daemon.get("/metrics").status_code == 200, "though what writes them is not there before the first time"
    assert daemon.get("/metrics").status_code == 200


def test_the_source_process_dies_with_a_killed_server(daemon: RunningDaemon) -> None:
    (child,) = daemon.children()
    daemon.stop(signal.SIGKILL)
    until(lambda: not Path(f"/proc/{child}").exists())


@pytest.mark.fault(1)
def test_row_01_without_a_driver_the_server_answers_and_says_so(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    daemon = start()
    assert daemon.until_state("no_driver") <= 2.0 + SLACK_SECONDS
    snapshot = daemon.vram()
    assert snapshot["total_bytes"] == 0
    assert "total_bytes" in snapshot["unknown"]
    assert snapshot["sources"][0]["reason"]
    assert daemon.get("/healthz").status_code == 503
    assert daemon.get("/livez").status_code == 200  # a restart would not mend the driver


@pytest.mark.fault(3)
def test_row_03_signals_release_and_resume_the_driver(daemon: RunningDaemon, fake_driver: FakeDriver) -> None:
    assert fake_driver.open_handles() == 1
    daemon.process.send_signal(signal.SIGUSR1)
    began_at = time.monotonic()
    until(lambda: fake_driver.open_handles() == 0)
    assert time.monotonic() - began_at <= 1.0 + SLACK_SECONDS
    daemon.until_state("released")
    until(lambda: daemon.children() == [])
    daemon.process.send_signal(signal.SIGUSR2)
    assert daemon.until_state("ok") <= 2.0 + SLACK_SECONDS


@pytest.mark.fault(3)
def test_row_03_the_running_server_is_found_by_its_user(daemon: RunningDaemon) -> None:
    port = int(str(daemon.url).rpartition(":")[2])
    assert [(server.pid, server.port) for server in running_servers(daemon.runtime / "blackbox")] == [
        (daemon.process.pid, port)
    ]
    daemon.stop()
    assert running_servers(daemon.runtime / "blackbox") == []


@pytest.mark.fault(3)
def test_row_03_idle_mode_releases_the_driver_and_a_question_brings_it_back(
    start: Start, fake_driver: FakeDriver
) -> None:
    fake_driver.populate(1, 1)
    daemon = start("--idle-release", "1s", "--interval", "100ms")
    daemon.until_state("ok")
    until(lambda: fake_driver.open_handles() == 0)
    assert daemon.until_state("ok") <= 2.0 + SLACK_SECONDS
    with requests.get(f"{daemon.url}/vram/stream", stream=True, timeout=PATIENCE_SECONDS) as stream:
        began_at = time.monotonic()
        for _ in stream.iter_content(None):
            assert fake_driver.open_handles() == 1
            if time.monotonic() > began_at + 2.0:
                break


@pytest.mark.fault(5)
def test_row_05_a_hanging_call_on_one_gpu_is_named_and_the_others_stay_fresh(
    daemon: RunningDaemon, fake_driver: FakeDriver
) -> None:
    fake_driver.hang("nvmlDeviceGetMemoryInfo*", seconds=600, device=gpu_uuid(3))
    daemon.until_state("degraded")
    # first, on a machine that is slow to end the child, that the call keeps it
    until(lambda: "did not return within" in daemon.vram()["sources"][0]["reason"])
    snapshot = daemon.vram()
    gpus = {gpu["index"]: gpu for gpu in snapshot["gpus"]}
    assert "nvmlDeviceGetMemoryInfo_v2 on GPU 3 did not return within" in gpus[3]["reason"]
    assert "nvmlDeviceGetMemoryInfo_v2 on GPU 3 did not return within" in snapshot["sources"][0]["reason"]
    assert [index for index, gpu in gpus.items() if gpu["state"] == "ok"] == [0, 1, 2, 4, 5, 6, 7]
    assert max(gpu["age_seconds"] for index, gpu in gpus.items() if index != 3) <= 1.0 + SLACK_SECONDS
    assert len(daemon.children()) <= 1


@pytest.mark.fault(5)
@pytest.mark.fault(20)
def test_row_05_and_20_a_driver_that_hangs_whole_makes_health_fail_and_answers_go_on(
    daemon: RunningDaemon, fake_driver: FakeDriver
) -> None:
    fake_driver.hang("*", seconds=600)
    began_at = time.monotonic()
    until(lambda: daemon.get("/healthz").status_code == 503)
    assert time.monotonic() - began_at <= 2.0 + SLACK_SECONDS
    daemon.until_state("stale")
    assert daemon.vram()["age_seconds"] >= 1.0
    code, seconds = daemon.stop()
    assert code == 0
    assert seconds <= STOP_SECONDS_MAX + SLACK_SECONDS


@pytest.mark.fault(6)
def test_row_06_a_crash_in_the_driver_does_not_reach_the_server(daemon: RunningDaemon, fake_driver: FakeDriver) -> None:
    fake_driver.crash("nvmlDeviceGetMemoryInfo*", times=3)
    until(lambda: daemon.source()["restarts_total"] == 3)
    daemon.until_state("ok")
    assert daemon.process.poll() is None
    assert "was killed by SIGSEGV in nvmlDeviceGetMemoryInfo_v2" in daemon.text()


@pytest.mark.fault(33)
def test_row_33_a_signal_ends_open_streams_properly(daemon: RunningDaemon) -> None:
    with contextlib.ExitStack() as stack:
        streams = [
            stack.enter_context(requests.get(f"{daemon.url}/vram/stream", stream=True, timeout=PATIENCE_SECONDS))
            for _ in range(20)
        ]
        code, seconds = daemon.stop()
        assert code == 0
        assert seconds <= STOP_SECONDS_MAX + SLACK_SECONDS
        for stream in streams:
            assert b"data: {" in stream.content


@pytest.mark.fault(34)
def test_row_34_a_taken_port_is_one_line_and_no_gpu_is_opened(fake_driver: FakeDriver, tmp_path: Path) -> None:
    fake_driver.populate(1, 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [sys.executable, "-m", "blackbox", "serve", "--port", port],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            env=environment(tmp_path),
        )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert port in line
    assert fake_driver.calls("nvmlInit*") == 0
