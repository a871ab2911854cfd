"""The kernel's clocks of threads, on disk and of a real process."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.sources.proc.processes import Procfs
from blackbox.sources.proc.run_clocks import LOOKS_MAX, RunClocks
from tests.waiting import until

PID = 7
"""Whose turn it is at the seventh of `LOOKS_MAX` looks."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "schedstat"
    path.write_text("100 5 1\n")
    return path


@pytest.fixture
def opened(file: Path) -> Iterator[int]:
    opened = os.open(file, os.O_RDONLY)
    yield opened
    os.close(opened)


@pytest.fixture
def clocks(opened: int) -> RunClocks:
    """Of a thread that did nothing, as its stat file showed twice."""
    clocks = RunClocks()
    clocks.note(PID, opened, is_quiet=True)
    assert PID not in clocks.still(), "nothing says that it did not run between the two"
    clocks.note(PID, opened, is_quiet=True)
    return clocks


def test_it_stands_still_until_the_thread_runs(clocks: RunClocks, opened: int, file: Path) -> None:
    assert PID in clocks.still()
    file.write_text("101 5 2\n")
    assert PID not in clocks.still()
    clocks.note(PID, opened, is_quiet=True)
    assert PID in clocks.still()


def test_a_busy_thread_is_not_asked_for_its_clock(clocks: RunClocks, opened: int) -> None:
    clocks.note(PID, opened, is_quiet=False)
    assert PID not in clocks.still()
    clocks.note(PID, opened, is_quiet=True)
    assert PID not in clocks.still()
    clocks.note(PID, opened, is_quiet=True)
    assert PID in clocks.still()


def test_what_is_forgotten_is_not_still(clocks: RunClocks) -> None:
    clocks.forget(PID)
    assert PID not in clocks.still()


def test_one_that_has_no_clock_is_never_still() -> None:
    clocks = RunClocks()
    for _ in range(3):
        clocks.note(PID, None, is_quiet=True)
        assert PID not in clocks.still()


@pytest.mark.parametrize("content", ["0 0 0\n", ""])
def test_a_clock_that_nobody_keeps_proves_nothing(clocks: RunClocks, opened: int, file: Path, content: str) -> None:
    file.write_text(content)
    for _ in range(5):
        assert PID not in clocks.still()
        clocks.note(PID, opened, is_quiet=True)


def test_one_that_has_ended_leaves_the_others_still(clocks: RunClocks, opened: int) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        ended = os.open(f"/proc/{child.pid}/task/{child.pid}/schedstat", os.O_RDONLY)
        child.kill()
    clocks.note(child.pid, ended, is_quiet=True)
    assert [{*clocks.still()} for _ in range(2)] == [{PID}, {PID}]
    os.close(ended)


def test_the_stat_file_is_read_now_and_then_all_the_same(clocks: RunClocks) -> None:
    looks = [PID in clocks.still() for _ in range(2 * LOOKS_MAX)]
    assert looks.count(False) == 2


def test_a_sleeping_process_that_becomes_another_program_ends_and_is_followed_is_seen() -> None:
    procfs = Procfs(files_max=10)
    with subprocess.Popen(
        ["sh", "-c", "read line; exec sleep 60"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as child:
        assert child.stdin is not None
        until(lambda: (seen := procfs.looks([child.pid])[child.pid]) is not None and seen.name == "sh")
        for _ in range(4):
            procfs.looks([child.pid])[child.pid]
        child.stdin.write(b"go\n")
        child.stdin.flush()
        until(lambda: (seen := procfs.looks([child.pid])[child.pid]) is not None and seen.name == "sleep")
        for _ in range(4):
            procfs.looks([child.pid])[child.pid]
        child.kill()
        child.wait()
        assert procfs.looks([child.pid])[child.pid] is None
    procfs.close()
