"""The README and the examples do what they say: every snippet and every file is run against a real server."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest

from blackbox.cli import COMMANDS
from blackbox.client import Client
from tests.running_server import RunningServer
from tests.tools import tool
from tests.waiting import PATIENCE_SECONDS, until

ROOT = Path(__file__).parents[2]
LINES = 3
EVENT_SOURCE = Path(__file__).with_name("event_source.mjs")


class Snippet(NamedTuple):
    language: str
    text: str


def integration_guide() -> str:
    readme = (ROOT / "README.md").read_text()
    _, _, guide = readme.partition("\n## Integration guide\n")
    return guide.partition("\n## ")[0]


SNIPPETS = [Snippet(*match) for match in re.findall(r"^```(\w+)\n(.*?)^```$", integration_guide(), re.M | re.S)]


def snippets(language: str) -> list[Snippet]:
    return [snippet for snippet in SNIPPETS if snippet.language == language]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home = tmp_path_factory.mktemp("home")
    with RunningServer(home, "--demo", "--interval", "100ms") as running:
        yield running


def first_lines(command: list[str], count: int = LINES) -> list[str]:
    """The first lines a program prints; fewer when it ends before, or when its time is up."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as program:
        assert program.stdout
        assert program.stderr
        time_is_up = threading.Timer(PATIENCE_SECONDS, end, [program])
        time_is_up.start()
        lines = [line.rstrip("\n") for line in islice(program.stdout, count)]
        time_is_up.cancel()
        end(program)
        complaint = program.stderr.read()
    assert lines, complaint
    return lines


def end(program: subprocess.Popen[str]) -> None:
    """Ends a program and those it started, which would keep its pipes open."""
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)


def at(server: RunningServer, text: str) -> str:
    return text.replace("localhost:6767", f"localhost:{server.port}")


def test_the_guide_covers_every_kind_of_client() -> None:
    assert {snippet.language for snippet in SNIPPETS} == {"bash", "python", "js", "yaml"}


@pytest.mark.parametrize("snippet", snippets("bash"))
def test_shell(server: RunningServer, snippet: Snippet) -> None:
    tool("curl", "curl")
    tool("jq", "jq")
    lines = first_lines(["bash", "-euo", "pipefail", "-c", at(server, snippet.text)])
    assert any("used_bytes" in line or "id: " in line or "pid" in line for line in lines), lines


@pytest.mark.parametrize("snippet", snippets("python"), ids=["requests", "client", "async client"])
def test_python(server: RunningServer, snippet: Snippet) -> None:
    lines = first_lines([sys.executable, "-W", "error", "-u", "-c", at(server, snippet.text)])
    assert len(lines) == LINES
    assert all(re.search(r"\d", line) for line in lines)


@pytest.mark.parametrize("snippet", snippets("js"), ids=["node", "browser"])
def test_javascript(server: RunningServer, snippet: Snippet, tmp_path: Path) -> None:
    program = tmp_path / "snippet.mjs"
    program.write_text(at(server, snippet.text))
    node = tool("node", "nodejs")
    for line in first_lines([node, "--no-warnings", "--import", EVENT_SOURCE.as_uri(), str(program)]):
        assert 0 < float(line) <= 100


def scraped(prometheus: str) -> list[str]:
    query = urllib.parse.urlencode({"query": "blackbox_gpu_memory_used_bytes > 0"})
    try:
        with urllib.request.urlopen(f"{prometheus}/api/v1/query?{query}", timeout=PATIENCE_SECONDS) as answer:
            return [series["metric"]["uuid"] for series in json.load(answer)["data"]["result"]]
    except OSError:
        return []


@pytest.mark.slow
def test_prometheus(server: RunningServer, tmp_path: Path) -> None:
    (snippet,) = snippets("yaml")
    config = tmp_path / "prometheus.yml"
    config.write_text(at(server, snippet.text))
    subprocess.run([tool("promtool", "prometheus"), "check", "config", config], check=True, capture_output=True)
    port = free_port()
    command = [
        tool("prometheus", "prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as prometheus:
        try:
            until(lambda: scraped(f"http://127.0.0.1:{port}"), "Prometheus has scraped the server")
        finally:
            prometheus.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_examples_watch_gpu(server: RunningServer) -> None:
    lines = first_lines([sys.executable, "-W", "error", str(ROOT / "examples/watch_gpu.py"), "0", server.url])
    assert "MiB free" in lines[0]
    assert re.search(r"\d+ MiB +\d+ ", lines[1])


def test_examples_oom_guard(server: RunningServer) -> None:
    command = [sys.executable, "-W", "error", str(ROOT / "examples/oom_guard.py"), "1000000", server.url]
    lines = first_lines(command, count=1)
    assert re.match(r"GPU \d+ is full in \d+ s; pid \d+ grew most", lines[0])


def test_examples_follow(server: RunningServer) -> None:
    for line in first_lines([tool("node", "nodejs"), "--no-warnings", str(ROOT / "examples/follow.mjs"), server.url]):
        assert re.search(r"\d+\.\d\d GiB  [\d.]+ %$", line)


def test_examples_columns(server: RunningServer) -> None:
    command = [tool("node", "nodejs"), "--no-warnings", str(ROOT / "examples/columns.mjs"), server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
    table = Client(server.url).columns()
    told = re.findall(r"^(\d+) .*  (\d+) blocks  [\d.]+ GiB live$", done.stdout, re.M)
    assert {pid for pid, _ in told} == {str(part.pid) for part in table.head.parts}


@pytest.mark.parametrize("name", ["prometheus-rules.yml", "prometheus-fleet-rules.yml"])
def test_examples_prometheus_rules(name: str) -> None:
    rules = ROOT / "examples" / name
    done = subprocess.run([tool("promtool", "prometheus"), "check", "rules", rules], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    metrics = (ROOT / "docs/metrics.md").read_text()
    named = set(re.findall(r"(?<![:\w])blackbox_\w+", rules.read_text()))  # after a colon it is a rule's own
    assert len(named) > 5
    assert [series for series in named if f"`{series}`" not in metrics] == []


def test_every_example_is_in_the_list() -> None:
    listed = (ROOT / "examples/README.md").read_text()
    files = {path.name for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".mjs", ".yml", ".json")}
    assert files == set(re.findall(r"^\| \[(.*?)\]", listed, re.M))


def test_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text()
    targets = [target for target in re.findall(r"\]\((.*?)\)", text) if not target.startswith("http")]
    assert targets
    assert [target for target in targets if not (ROOT / target.partition("#")[0]).exists()] == []


def test_every_command_of_the_readme_exists() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in COMMANDS:
        assert re.search(rf"`(blackbox )?{command.name}\b", readme), command.name
