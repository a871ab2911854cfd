"""A real Prometheus scrapes the real server."""

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.running_server import RunningServer
from tests.tools import tool
from tests.waiting import PATIENCE_SECONDS, until, until_value

CONFIGURATION = """\
global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
rule_files: [{rules}]
scrape_configs:
  - job_name: blackbox
    static_configs:
      - targets: ["localhost:{port}"]
"""


class Prometheus:
    """Prometheus in a process of its own, asked over its API."""

    def __init__(self, program: str, home: Path, scraped_port: int, rules: Sequence[Path] = ()) -> None:
        configuration = home / "prometheus.yml"
        configuration.write_text(CONFIGURATION.format(port=scraped_port, rules=", ".join(map(str, rules))))
        self._log = home / "prometheus.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    program,
                    f"--config.file={configuration}",
                    f"--storage.tsdb.path={home / 'tsdb'}",
                    "--web.listen-address=127.0.0.1:0",
                    "--log.format=json",
                ],
                stderr=log,
                stdout=log,
            )
        self.port = self._await_port()

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The instant vector that a query gives; waits until it is not empty."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        return until(lambda: _result(url), lambda: f"an answer to {query}: {self._log.read_text()}")

    def rules(self) -> list[dict[str, Any]]:
        """All rules, once each has been evaluated."""
        url = f"http://127.0.0.1:{self.port}/api/v1/rules"
        return until(lambda: _evaluated(url), lambda: f"rules: {self._log.read_text()}")

    def _await_port(self) -> int:
        return until(self._port_in_log, lambda: f"a port: {self._log.read_text()}")

    def _port_in_log(self) -> int:
        """0 before it listens."""
        assert self.process.poll() is None, self._log.read_text()
        for line in self._log.read_text().splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                if entry.get("msg") == "Listening on":
                    return int(entry["address"].rpartition(":")[2])
        return 0


def _result(url: str) -> list[dict[str, Any]]:
    with suppress(OSError), urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as response:
        return json.load(response)["data"]["result"]
    return []


def _evaluated(url: str) -> list[dict[str, Any]]:
    """Empty while one of the rules waits for its first time."""
    with suppress(OSError), urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as response:
        found = [rule for group in json.load(response)["data"]["groups"] for rule in group["rules"]]
        return [] if any(rule["health"] == "unknown" for rule in found) else found
    return []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home = tmp_path_factory.mktemp("home")
    with RunningServer(home, "--demo", "--interval", "100ms", "--process-metrics") as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    running = Prometheus(tool("prometheus", "prometheus"), tmp_path_factory.mktemp("prometheus"), server.port)
    yield running
    running.process.terminate()
    try:
        running.process.wait(PATIENCE_SECONDS)
    finally:
        running.process.kill()
        running.process.wait()


def snapshot(server: RunningServer) -> dict[str, Any]:
    with urllib.request.urlopen(f"{server.url}/vram", timeout=PATIENCE_SECONDS) as response:
        return json.load(response)


def exposition(server: RunningServer) -> bytes:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=PATIENCE_SECONDS) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return response.read()


def test_promtool_finds_nothing_to_complain_about_in_what_the_server_answers(server: RunningServer) -> None:
    promtool = tool("promtool", "prometheus")
    text = until_value(lambda: exposition(server), lambda text: b"blackbox_process_memory_used_bytes{" in text)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.slow
def test_prometheus_has_the_memory_of_every_gpu(server: RunningServer, prometheus: Prometheus) -> None:
    answer = snapshot(server)
    found = prometheus.ask("blackbox_gpu_memory_total_bytes")
    assert {series["metric"]["uuid"]: int(float(series["value"][1])) for series in found} == {
        gpu["uuid"]: gpu["total_bytes"] for gpu in answer["gpus"] if gpu["parent_uuid"] is None
    }


@pytest.mark.slow
def test_the_ledger_adds_up_in_prometheus(prometheus: Prometheus) -> None:
    whole = "blackbox_gpu_memory_total_bytes"
    parts = " + ".join(f"blackbox_gpu_memory_{part}_bytes" for part in ("used", "free", "driver_reserved"))
    assert {series["value"][1] for series in prometheus.ask(f"{whole} - ({parts})")} == {"0"}


@pytest.mark.slow
def test_processes_sum_to_what_the_gpus_attribute(prometheus: Prometheus) -> None:
    attributed = "(blackbox_gpu_memory_used_bytes - blackbox_gpu_memory_unattributed_bytes)"
    rest = f"{attributed} - on(uuid) sum by (uuid) (blackbox_process_memory_used_bytes)"
    assert {series["value"][1] for series in prometheus.ask(rest)} == {"0"}


@pytest.mark.slow
def test_facts_join_on_the_uuid_and_the_target_is_up(prometheus: Prometheus) -> None:
    joined = "blackbox_gpu_memory_used_bytes * on(uuid) group_left(index, name) blackbox_gpu_info"
    assert all(series["metric"]["name"] for series in prometheus.ask(joined))
    assert {series["value"][1] for series in prometheus.ask('up{job="blackbox"}')} == {"1"}
    assert {series["value"][1] for series in prometheus.ask("blackbox_simulated")} == {"1"}
    assert prometheus.ask("blackbox_http_requests_total{route='/metrics', status='200'}")
