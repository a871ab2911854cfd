"""Real processes that listen, found through the real /proc; and the whole server above them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from blackbox.sources.engines.address import Address
from blackbox.sources.engines.source import EngineSource
from tests import upstream as faults
from tests.fake_nvml import GIB, FakeDriver, Gpu, Process, gpu_uuid
from tests.recorded_engines import RECORDED, recorded
from tests.running_server import environment
from tests.upstream import pages, upstream
from tests.waiting import PATIENCE_SECONDS, until_value

SERVER = """
import subprocess, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
class Handler(SimpleHTTPRequestHandler):
    def translate_path(self, path):
        return sys.argv[-1] if path == "/metrics" else "/nonexistent"
    def log_message(self, *_):
        pass
with HTTPServer(("127.0.0.1", 0), Handler) as server:
    core = subprocess.Popen(["bash", "-c", "exec -a VLLM::EngineCore cat"], stdin=subprocess.PIPE)
    print(server.server_port, core.pid, flush=True)
    server.serve_forever()
"""


class Server:
    """A process that passes for vLLM, with a worker that passes for being on the GPU."""

    def __init__(self, script: Path) -> None:
        script.write_text(SERVER)
        self.process = subprocess.Popen(
            [sys.executable, script, "serve", RECORDED / "vllm-v0.10.prom"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        port, core = self.process.stdout.readline().split()
        self.port, self.core_pid = int(port), int(core)

    def close(self) -> None:
        """The worker ends with the pipe that it reads."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with closing(Server(tmp_path / "vllm")) as server:
        yield server


def test_a_server_is_found_by_its_worker_on_the_gpu(server: Server) -> None:
    with closing(EngineSource(lambda: {server.core_pid})) as source:
        sample = until_value(source.sample, lambda sample: bool(sample.engines))
    (engine,) = sample.engines
    assert (engine.kind, engine.model, engine.pid) == ("vllm", "qwen", server.core_pid)
    assert (engine.kv_pages_total, engine.kv_pages_used) == (1001, 250)
    (told,) = (
        sample.of_users
    )  # of this test's own relatives perhaps more: what other tests in this process left listening
    assert (told.uid, told.facts[f"http://127.0.0.1:{server.port}"]) == (os.getuid(), "vllm")
    assert engine.uid == os.getuid()
    assert sample.state == "ok"


def test_one_that_is_named_and_found_is_one(server: Server) -> None:
    with closing(EngineSource(lambda: {server.core_pid}, [Address("localhost", server.port)])) as source:
        sample = until_value(source.sample, lambda sample: bool(sample.engines))
        assert [engine.pid for engine in sample.engines] == [server.core_pid]


@pytest.mark.fault(53)
def test_row_53_an_engine_that_was_named_belongs_to_who_listens_there(server: Server) -> None:
    with closing(EngineSource(set, [Address("localhost", server.port)])) as source:
        sample = until_value(source.sample, lambda sample: bool(sample.engines))
    assert [(engine.pid, engine.uid) for engine in sample.engines] == [(None, os.getuid())]


def test_without_a_process_on_the_gpu_nobody_is_asked(server: Server) -> None:
    with closing(EngineSource(set)) as source:
        assert source.sample().of_users == ()


def test_ourselves_we_never_ask() -> None:
    with upstream(pages(metrics=recorded("vllm-v0.10.prom"))), closing(EngineSource(lambda: {os.getpid()})) as source:
        assert source.sample().of_users == ()


class Blackbox:
    """`blackbox serve` on the fake driver."""

    def __init__(self, runtime: Path, *flags: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "blackbox", "serve", "--port", "0", "--no-record", "--no-agents", *flags],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(runtime),
        )
        assert self.process.stderr
        lines = iter(self.process.stderr.readline, "")
        serving = next(line for line in lines if "serving " in line)
        self.url = serving.split("serving ")[1].strip()

    def vram(self) -> dict[str, Any]:
        response = requests.get(self.url, params={"blocks": "none"}, timeout=PATIENCE_SECONDS)
        return response.json() if response.status_code == 200 else {"engines": [], "sources": [], "seq": 0}

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return until_value(self.vram, wanted)

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE_SECONDS)


def test_the_answer_has_the_engine_of_a_process_that_the_driver_lists(
    server: Server, fake_driver: FakeDriver, tmp_path: Path
) -> None:
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=[Process(pid=server.core_pid, used_bytes=GIB)])])
    with closing(Blackbox(tmp_path)) as blackbox:
        answer = blackbox.until(lambda answer: bool(answer["engines"]))
    assert 0 <= answer["engines"][0].pop("age_seconds") < 60
    assert answer["engines"] == [
        {
            "kind": "vllm",
            "pid": server.core_pid,
            "model": "qwen",
            "kv_pages_total": 1001,
            "kv_pages_used": 250,
            "kv_pages_cached": None,
            "kv_usage_ratio": 0.25,
            "prefix_hit_ratio": 0.25,
            "requests_running": 2,
            "requests_waiting": 0,
            "preemptions_total": 0,
            "sleeping": None,
            "pids": [server.core_pid],
            "gpus": [0],
            "unknown": {
                "kv_pages_cached": "/metrics counts cached pages as free; the agent inside tells them apart",
            },
        }
    ]


def state_of(answer: dict[str, Any], name: str) -> str:
    return next(source["state"] for source in answer["sources"] if source["name"] == name)


@pytest.mark.fault(35)
def test_row_35_answers_go_on_while_engines_hang_and_flood(fake_driver: FakeDriver, tmp_path: Path) -> None:
    fake_driver.populate(1, 1)
    with upstream(faults.hang) as hanging, upstream(faults.endless) as flooding:
        flags = ("--engine", str(hanging.address), "--engine", str(flooding.address))
        with closing(Blackbox(tmp_path, "--interval", "100ms", *flags)) as blackbox:
            blackbox.until(lambda _: hanging.open == 1 and len(flooding.paths) > 0)
            first = blackbox.vram()["seq"]
            blackbox.until(lambda answer: answer["seq"] >= first + 5 and state_of(answer, "nvml") == "ok")
            blackbox.until(lambda answer: "degraded" in [source["state"] for source in answer["sources"]])
            assert (hanging.open_max, flooding.open_max) == (1, 1)
