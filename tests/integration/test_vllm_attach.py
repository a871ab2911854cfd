"""The agent comes late into a real vLLM server on the CPU: its pages are told, its answers stay the same."""

import json
import os
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from blackbox.injection import handover, program
from tests.running_server import RunningServer
from tests.vllm_rig import LAYERS, PAGES, POOL_BYTES, VllmServer, watched
from tests.waiting import PATIENCE_SECONDS, until_value

ATTACHES = int(os.environ.get("BLACKBOX_TEST_ATTACHES", "2"))
"""To each of its two processes, idle and busy; by hand more."""
TOKENS = 40
PROMPTS = [[5, 6, 7, number] for number in range(4)]

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the instructions are those of x86-64"),
]


class Rig:
    """Blackbox, and a vLLM that runs without the agent."""

    def __init__(self, blackbox: RunningServer, vllm: VllmServer, worker: int, socket: Path) -> None:
        self._blackbox = blackbox
        self._socket = str(socket)
        self.vllm = vllm
        self.worker = worker
        (self.engine,) = vllm.pids("VLLM::EngineCore")

    def ask(self, pid: int, task: handover.Task) -> handover.Outcome:
        return handover.ask(program.look(pid), task, self._socket, PATIENCE_SECONDS, mechanism="detour")

    def go_round(self) -> None:
        for pid in (self.engine, self.worker):
            outcome = self.ask(pid, "attach")
            assert (outcome.kind, "vllm" in outcome.details) == ("connected", True), outcome
        seen = until_value(self.vram, lambda snapshot: len(pages(snapshot)) == PAGES * LAYERS and snapshot["engines"])
        assert {row["pid"] for row in pages(seen)} == {self.worker}
        assert sum(row["size"] for row in pages(seen)) == POOL_BYTES
        assert [one["kv_pages_total"] for one in seen["engines"]] == [PAGES]
        for pid in (self.engine, self.worker):
            assert self.ask(pid, "detach").kind == "detached"
        until_value(self.vram, lambda snapshot: not pages(snapshot))

    def vram(self) -> Any:
        with urllib.request.urlopen(f"{self._blackbox.url}/vram", timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)

    def answers(self) -> list[list[int]]:
        return [self.vllm.complete(prompt, TOKENS, temperature=0) for prompt in PROMPTS]


def pages(snapshot: Any) -> list[Any]:
    return [block for block in snapshot["blocks"] if block.get("subtype") == "kv_page"]


@pytest.fixture(scope="module")
def rig(fake_nvml_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with watched(tmp_path_factory.mktemp("vllm"), fake_nvml_library, agent=False) as found:
        yield Rig(found.blackbox, found.vllm, found.worker, found.socket)


def test_an_idle_server_is_looked_into(rig: Rig) -> None:
    before = rig.answers()
    assert before[0] != before[1]
    for _ in range(ATTACHES):
        rig.go_round()
    assert rig.answers() == before


def test_a_busy_one_gives_the_same_answers(rig: Rig) -> None:
    before = rig.answers()
    with ThreadPoolExecutor(2) as threads:
        for _ in range(ATTACHES):
            busy = [threads.submit(rig.answers) for _ in range(2)]
            rig.go_round()
            assert [one.result() for one in busy] == [before, before]
    assert rig.answers() == before
