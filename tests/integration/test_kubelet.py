"""The kubelet's socket, served by the official gRPC library: a whole server asks it, and so does the doctor."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from blackbox.cli.commands import doctor_checks
from blackbox.settings import Settings
from blackbox.sources.kubelet import KUBELET_SOCKET, NO_KUBELET, access
from blackbox.sources.kubelet.source import ASK_SECONDS, KubeletSource
from tests.clocks import ManualClock
from tests.fake_nvml import FakeDriver, gpu_uuid
from tests.kubelet_server import Container, answer, serving
from tests.running_server import RunningServer
from tests.waiting import PATIENCE_SECONDS, until


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Its socket, and the file that its answers come from."""
    path, answers = tmp_path / "kubelet.sock", tmp_path / "answer"
    containers = [Container("kube-system", f"system-{place}", "main") for place in range(1000)]
    train = Container("ml", "train-0", "main", {"nvidia.com/gpu": [gpu_uuid(0)], "rdma/hca": ["mlx5_0"]})
    shares = [
        Container("web", f"chat-{place}", "serve", {"nvidia.com/gpu.shared": [f"{gpu_uuid(1)}::{place}"]})
        for place in range(2)
    ]
    answers.write_bytes(answer(*containers, train, *shares))
    with serving(path, answers):
        yield path, answers


TOKEN = "t0k3n"


def get(server: RunningServer, path: str) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return requests.get(f"{server.url}{path}", headers=headers, timeout=PATIENCE_SECONDS).json()


def test_a_server_tells_which_gpus_pods_were_given(
    kubelet: tuple[Path, Path], fake_driver: FakeDriver, tmp_path: Path
) -> None:
    fake_driver.populate(3, 0)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    words = ("--kubelet-socket", str(kubelet[0]), "--no-record", "--token-file", str(token))
    with RunningServer(tmp_path, *words, token=TOKEN) as server:
        seen = until(lambda: (found := get(server, "/vram")) and "given_to" in found["gpus"][0] and found)
        train, shared, idle = (gpu["given_to"] for gpu in seen["gpus"])
        assert train == [{"namespace": "ml", "pod": "train-0", "container": "main"}]
        assert [(one["pod"], one["shared"]) for one in shared] == [("chat-0", True), ("chat-1", True)]
        assert idle == []
        health = get(server, "/healthz")
        (status,) = (one for one in health["sources"] if one["name"] == "kubelet")
        assert status["state"] == "ok"
        assert status["facts"] == {"kubelet": "GPUs and MIG instances given: 2, to pods: 3"}


def test_a_refusal_is_its_own_words_and_leaves_nothing_known(kubelet: tuple[Path, Path]) -> None:
    path, answers = kubelet
    clock = ManualClock()
    source = KubeletSource(path, clock=clock)
    assert source.sample().state == "ok"
    answers.unlink()
    clock.advance(ASK_SECONDS)
    sample = source.sample()
    assert sample.state == "failed"
    assert sample.reason is not None
    assert "it refuses: rejected by rate limit: 100 % (gRPC's status 8)" in sample.reason
    assert sample.given is not None
    assert sample.given.containers == {}


def findings(path: Path, **options: object) -> list[tuple[str, str]]:
    machine = doctor_checks.Machine(
        vendor="nvidia",
        sample=lambda: pytest.fail("no driver is asked"),
        settings=Settings(source_options={KUBELET_SOCKET.key: path, **options}),
        environ={},
    )
    return [(one.level, one.text) for one in doctor_checks.kubelet(machine)]


def test_the_doctor_asks_it_too(kubelet: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, answers = kubelet
    assert findings(path) == [("ok", "GPUs and MIG instances given: 2, to pods: 3")]
    assert findings(path, **{NO_KUBELET.key: True}) == findings(tmp_path / "none") == []
    answers.unlink()
    ((level, text),) = findings(path)
    assert (level, "it refuses: rejected by rate limit" in text) == ("warn", True)
    monkeypatch.setattr(access, "find_spec", lambda name: None)
    ((level, text),) = findings(path)
    assert (level, "blackbox-vram[kubelet]" in text) == ("ok", True)
