"""The real server against the API reference: its answers, its headers, its examples run as they stand."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.contract import reference_text
from tests.contract.assertions import assert_honours_the_contract
from tests.running_server import RunningServer
from tests.tools import tool
from tests.waiting import PATIENCE_SECONDS, until_value

LINES = 5
EVENTS = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("home"), "--demo", "--interval", "100ms") as running:
        yield running


def get(server: RunningServer, path: str, **options: Any) -> requests.Response:
    with requests.get(server.url + path, timeout=PATIENCE_SECONDS, **options) as response:
        return response


def here(example: str, server: RunningServer) -> str:
    """The example with its server's port, and nothing else, replaced."""
    replaced = example.replace("http://localhost:6767", server.url)
    assert replaced != example
    return replaced


def first_lines(command: list[str], count: int) -> list[str]:
    """What a program prints first; it must come without a complaint."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        lines = list(islice(program.stdout, count))
        program.kill()
        assert len(lines) == count, program.stderr.read()
        return lines


def python(script: str) -> list[str]:
    """A Python program that prints at once, and is ended when it hangs."""
    return ["timeout", str(PATIENCE_SECONDS), sys.executable, "-u", "-c", script]


def test_vram_honours_the_contract(server: RunningServer) -> None:
    response = get(server, "/vram")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert "Access-Control-Allow-Origin" not in response.headers
    answer = response.json()
    assert_honours_the_contract(answer)
    assert answer["simulated"] is True
    assert answer["processes"]
    assert answer["blocks"]
    assert answer["threads"]
    assert answer["nsight_metrics"].keys() == {str(process["pid"]) for process in answer["processes"]}


@pytest.mark.parametrize("query", ["?blocks=none", "?blocks=summary", "?gpu=0", "?gpu=0&blocks=none"])
def test_every_view_honours_the_contract(server: RunningServer, query: str) -> None:
    assert_honours_the_contract(get(server, f"/vram{query}").json())


def test_the_stream_has_the_documented_head_and_framing(server: RunningServer) -> None:
    with requests.get(f"{server.url}/vram/stream", stream=True, timeout=PATIENCE_SECONDS) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["Connection"] == "keep-alive"
        data = (line[6:] for line in response.iter_lines() if line.startswith(b"data: "))
        events = [json.loads(body) for body in islice(data, EVENTS)]
    for event in events:
        assert_honours_the_contract(event)
    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})


@pytest.mark.parametrize("path", ["/nothing", "/vram/", "/vram/nothing", "/VRAM"])
def test_an_unknown_path_is_answered_as_documented(server: RunningServer, path: str) -> None:
    response = get(server, path)
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "text/plain"
    assert response.text == "Not Found"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/vram", 200),
        ("/vram?gpu=none-such", 404),
        ("/vram?blocks=some", 400),
        ("/vram/stream?gpu=none-such", 404),
        ("/vram/stream?blocks=some", 400),
        ("/vram/history", 200),
        ("/vram/history?from=the+other+day", 400),
        ("/vram/at", 400),
        ("/vram/at?t=5", 404),
        ("/vram/events", 200),
        ("/vram/events/stream?kind=boom", 400),
        ("/vram/compare?a=5", 404),
        ("/vram/aggregated", 200),
        ("/vram/forecast", 200),
        ("/metrics", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/livez", 200),
        ("/openapi.json", 200),
    ],
)
def test_answers_are_those_that_openapi_describes(server: RunningServer, path: str, status: int) -> None:
    document = get(server, "/openapi.json").json()
    response = until_value(lambda: get(server, path), lambda response: response.status_code == status)
    described = document["paths"][path.partition("?")[0]]["get"]["responses"][str(status)]
    assert response.headers["Content-Type"].partition(";")[0] in described["content"]


def test_not_modified_is_described_too(server: RunningServer) -> None:
    document = get(server, "/openapi.json").json()
    statuses = set[int]()
    for _ in range(20):  # a new sample may come between the two questions
        tag = get(server, "/vram").headers["ETag"]
        statuses.add(get(server, "/vram", headers={"If-None-Match": tag}).status_code)
    assert 304 in statuses
    assert {str(status) for status in statuses} <= document["paths"]["/vram"]["get"]["responses"].keys()


def test_the_streaming_example_runs_unchanged(server: RunningServer) -> None:
    (example,) = reference_text.examples("python", "response.iter_lines():\n    if line and")
    for line in first_lines(python(here(example, server)), LINES):
        assert line.startswith("Memory: ")
        assert 0 <= float(line.removeprefix("Memory: ").rstrip("%\n")) <= 100


def test_the_error_handling_example_runs_unchanged(server: RunningServer) -> None:
    (example,) = reference_text.examples("python", "raise_for_status")
    done = subprocess.run(
        python(here(example, server)), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_reconnecting_example_runs_unchanged(server: RunningServer) -> None:
    (example,) = reference_text.examples("python", "def stream_with_reconnect")
    caller = f"for line in stream_with_reconnect({f'{server.url}/vram/stream'!r}):\n    print(line.decode())\n"
    lines = first_lines(python(f"{example}\n{caller}"), 3 * EVENTS)
    bodies = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert len(bodies) >= EVENTS
    for body in bodies:
        assert_honours_the_contract(body)


def test_the_curl_example_runs_unchanged(server: RunningServer) -> None:
    tool("curl", "curl")
    tool("jq", "jq")
    (example,) = reference_text.examples("bash", "| jq")
    done = subprocess.run(
        ["bash", "-c", here(example, server)], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)  # of jq, which writes 0.0 as 0
    assert {field.name for field in reference_text.fields() if field.struct == "Snapshot"} <= answer.keys()


def test_the_curl_stream_example_runs_unchanged(server: RunningServer) -> None:
    tool("curl", "curl")
    (example,) = reference_text.examples("bash", "curl -N")
    lines = first_lines(["timeout", str(PATIENCE_SECONDS), "bash", "-c", "exec " + here(example, server)], 3 * EVENTS)
    assert any(line.startswith("data: ") for line in lines)


def test_the_home_of_the_examples_exists(server: RunningServer) -> None:
    """The reference ends with a link into the README."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert "README.md#integration-guide" in reference_text.text()
    assert "\n## Integration guide\n" in readme
