"""The child that hands the letter over: what it says for each end of the story."""

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blackbox.injection import remote

LETTER = b"#" + b" " * 200 + b"\nwork('@LETTER@')\n"
Exec = Callable[[int, str], None]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths that the program was asked to run; standard input stays open until a test closes it."""
    paths: list[str] = []
    reader, writer = os.pipe()
    kept = os.dup(0)
    os.dup2(reader, 0)
    monkeypatch.setattr(remote, "remote_exec", lambda pid, path: paths.append(path))
    monkeypatch.setattr(remote, "close", lambda: os.close(writer), raising=False)
    yield paths
    os.dup2(kept, 0)
    for descriptor in (reader, kept):
        os.close(descriptor)


def take_back() -> None:
    remote.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_the_answer_of_the_program(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def run(pid: int, path: str) -> None:
        asked.append(path)
        assert Path(path).read_bytes().endswith(f"\nwork('{path}')\n".encode())
        with Path(path).open("r+b") as letter:
            letter.seek(1)
            letter.write(b"connected pytorch")

    monkeypatch.setattr(remote, "remote_exec", run)
    assert remote.hand_over(os.getpid(), LETTER) == "connected pytorch"
    take_back()


def test_what_python_refuses(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, path: str) -> None:
        raise RuntimeError("Remote debugging is not enabled")

    monkeypatch.setattr(remote, "remote_exec", refuse)
    assert remote.hand_over(os.getpid(), LETTER) == "refused RuntimeError: Remote debugging is not enabled"
    take_back()
    assert asked == []


def test_a_request_is_taken_back_where_python_keeps_it(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    kept = ctypes.create_string_buffer(512)
    here = ctypes.addressof(kept)

    def remember(pid: int, path: str) -> None:
        asked.append(path)
        kept.value = path.encode()

    monkeypatch.setattr(remote, "remote_exec", remember)
    monkeypatch.setattr(remote, "_data", lambda pid: [(here, here + 512)])
    take_back()
    assert remote.hand_over(os.getpid(), LETTER) == "taken-back"
    assert (kept.value, kept.raw[1:6]) == (b"", b"proc/")
    assert len(asked) == 1


def test_where_an_interpreter_keeps_its_data() -> None:
    found = remote._data(os.getpid())
    assert found
    assert all(0 < end - start <= remote.DATA_BYTES_MAX for start, end in found)


def test_a_request_that_is_not_found_there_becomes_one_to_run_nothing(asked: list[str]) -> None:
    take_back()
    assert remote.hand_over(os.getpid(), LETTER) == "taken-back"
    assert asked[1:] == ["/dev/null"]


def test_a_program_that_ends_meanwhile(asked: list[str]) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    assert remote.hand_over(child, LETTER) == "ended"
    assert len(asked) == 1
    take_back()


def test_two_take_turns(asked: list[str]) -> None:
    with remote.turn(os.getpid()) as first:
        assert first
        with remote.turn(os.getpid(), waits=False) as second:
            assert not second
        take_back()
        with remote.turn(os.getpid()) as second:
            assert not second, "it was taken back while it waited"
    with remote.turn(os.getpid()) as third:
        assert third
    assert asked == []
