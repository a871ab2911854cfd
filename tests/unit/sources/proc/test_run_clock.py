"""The kernel's clock of a thread, on disk and of a real process."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.sources.proc.processes import Procfs
from blackbox.sources.proc.run_clock import STANDS_STILL_LOOKS_MAX, RunClock
from tests.waiting import until


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "schedstat"
    path.write_text("100 5 1\n")
    return path


@pytest.fixture
def clock(file: Path) -> Iterator[RunClock]:
    opened = os.open(file, os.O_RDONLY)
    yield RunClock(opened)
    os.close(opened)


def settle(clock: RunClock) -> None:
    """Two looks by the stat file, which both show nothing."""
    for _ in range(2):
        assert not clock.stands_still()
        clock.note(is_quiet=True)


def test_it_stands_still_until_the_thread_runs(clock: RunClock, file: Path) -> None:
    settle(clock)
    assert clock.stands_still()
    file.write_text("101 5 2\n")
    assert not clock.stands_still()
    clock.note(is_quiet=True)
    assert clock.stands_still()


def test_a_busy_thread_is_not_asked_for_its_clock(clock: RunClock) -> None:
    settle(clock)
    assert clock.stands_still()
    clock.note(is_quiet=False)
    assert not clock.stands_still()
    settle(clock)
    assert clock.stands_still()


@pytest.mark.parametrize("content", ["0 0 0\n", ""])
def test_a_clock_that_nobody_keeps_proves_nothing(clock: RunClock, file: Path, content: str) -> None:
    file.write_text(content)
    for _ in range(5):
        assert not clock.stands_still()
        clock.note(is_quiet=True)


def test_the_stat_file_is_read_now_and_then_all_the_same(clock: RunClock) -> None:
    settle(clock)
    assert [clock.stands_still() for _ in range(STANDS_STILL_LOOKS_MAX + 1)] == [True] * STANDS_STILL_LOOKS_MAX + [
        False
    ]


def test_a_sleeping_process_that_becomes_another_program_ends_and_is_followed_is_seen() -> None:
    procfs = Procfs(files_max=10)
    with subprocess.Popen(
        ["sh", "-c", "read line; exec sleep 60"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as child:
        assert child.stdin is not None
        until(lambda: (seen := procfs.look(child.pid)) is not None and seen.name == "sh")
        for _ in range(4):
            procfs.look(child.pid)
        child.stdin.write(b"go\n")
        child.stdin.flush()
        until(lambda: (seen := procfs.look(child.pid)) is not None and seen.name == "sleep")
        for _ in range(4):
            procfs.look(child.pid)
        child.kill()
        child.wait()
        assert procfs.look(child.pid) is None
    procfs.close()
