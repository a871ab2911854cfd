"""When the kubelet is asked, and what is told while it does not answer."""

import os
import socket
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from blackbox.sources import SOURCES
from blackbox.sources.kubelet import KUBELET_SOCKET, access, call
from blackbox.sources.kubelet.call import CallError
from blackbox.sources.kubelet.source import ASK_SECONDS, KubeletSource
from tests.clocks import ManualClock
from tests.kubelet_server import Container, answer

GPU = "GPU-8f6d1b2e-0000-4c3a-9f50-aaaaaaaaaaaa"
GIVEN = answer(Container("ml", "train-0", "main", {"nvidia.com/gpu": [GPU]}))


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "kubelet.sock"))
        yield tmp_path / "kubelet.sock"


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes | None], None]:
    """What the kubelet answers from now on; None: nothing."""
    told: list[bytes | None] = [GIVEN]

    def scripted(*_: object, **__: object) -> bytes:
        if told[-1] is None:
            raise CallError("no answer within 5 s")
        return told[-1]

    monkeypatch.setattr(call, "call", scripted)
    return told.append


def test_it_is_asked_once_a_minute(path: Path, say: Callable[[bytes | None], None]) -> None:
    clock = ManualClock()
    source = KubeletSource(path, clock=clock)
    first = source.sample()
    assert (first.state, first.reason, first.cost["calls_total"]) == ("ok", None, 1)
    assert first.given is not None
    assert [one.pod for one in first.given.containers[GPU]] == ["train-0"]
    say(answer())
    clock.advance(ASK_SECONDS - 1)
    assert source.sample().given == first.given
    clock.advance(1)
    later = source.sample()
    assert later.given is not None
    assert (later.given.containers, later.given.reason, later.cost["calls_total"]) == ({}, None, 2)


def test_without_an_answer_nothing_is_known_and_an_older_one_is_told_no_longer(
    path: Path, say: Callable[[bytes | None], None]
) -> None:
    clock = ManualClock()
    source = KubeletSource(path, clock=clock)
    source.sample()
    for wrong, words in ((None, "no answer within 5 s"), (b"\xff", "cannot be read")):
        say(wrong)
        clock.advance(ASK_SECONDS)
        sample = source.sample()
        assert sample.state == "failed"
        assert sample.reason is not None
        assert words in sample.reason
        assert sample.given is not None
        assert (sample.given.containers, sample.given.reason) == ({}, sample.reason)
    say(GIVEN)
    clock.advance(ASK_SECONDS)
    assert source.sample().state == "ok"


def test_a_socket_that_is_gone_is_told(tmp_path: Path) -> None:
    sample = KubeletSource(tmp_path / "none").sample()
    assert (sample.state, sample.reason) == ("no_access", f"{tmp_path / 'none'} is not there")


def test_it_runs_only_where_it_can(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (spec,) = (spec for spec in SOURCES if spec.name == "kubelet")

    def hindrance(at: Path) -> str | None:
        return spec.hindrance({KUBELET_SOCKET.key: at})

    assert hindrance(path) is None
    assert hindrance(tmp_path / "none") == "", "no kubelet: nothing to tell"
    (tmp_path / "file").touch()
    assert hindrance(tmp_path / "file") == f"{tmp_path / 'file'} is no socket"
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda *_, **__: False)
        assert hindrance(path) == f"it is not asked which GPUs pods were given: this user may not open {path}"
    with monkeypatch.context() as patched:
        patched.setattr(access, "find_spec", lambda name: None if name == "h2" else find_spec(name))
        told = hindrance(path)
        assert told is not None
        assert "pip install 'blackbox-vram[kubelet]'" in told
        assert "\n" not in told
