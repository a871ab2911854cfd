"""How far a large file is read stands on a terminal, and nowhere else."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from blackbox.cli.common import progress
from blackbox.sources.isolation import outputs, reader
from blackbox.sources.memory_snapshot.reading import read
from tests import record_torch

SNAPSHOT = record_torch.FOLDER / "simulated-2.13.pickle"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    shown = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=shown))
    monkeypatch.setattr(progress, "BYTES_MIN", 1)
    return shown


def test_a_terminal_sees_how_far_and_then_nothing_of_it(terminal: Terminal) -> None:
    with progress.reading(SNAPSHOT) as tell:
        assert tell is not None
        for read_bytes in (0, 1 << 10, 0):
            tell(read_bytes)
    said = terminal.getvalue().split(progress.CLEAR)
    assert said[2].startswith(f"{SNAPSHOT.name}: 1.0 KiB of ")
    assert "working out" in said[3]
    assert said[-1] == ""


@pytest.mark.usefixtures("terminal")
def test_small_files_are_read_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "BYTES_MIN", 1 << 40)
    with progress.reading(SNAPSHOT) as tell:
        assert tell is None


def test_pipes_are_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "BYTES_MIN", 1)
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=io.StringIO()))
    with progress.reading(SNAPSHOT) as tell:
        assert tell is None


def test_the_file_that_is_not_there_is_left_to_who_reads_it(terminal: Terminal, tmp_path: Path) -> None:
    with progress.reading(tmp_path / "none.pickle") as tell:
        assert tell is None
    assert terminal.getvalue() == ""


def test_the_reader_says_how_far_its_child_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (reader, outputs):
        monkeypatch.setattr(module, "EVERY_SECONDS", 0.001)
    seen: list[int] = []
    contents = read(SNAPSHOT, progress=seen.append)
    assert contents == read(SNAPSHOT)
    assert seen
    assert all(0 <= one <= SNAPSHOT.stat().st_size for one in seen)


def test_a_terminal_sees_how_many_rows_went_by(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    assert list(progress.through(range(3), "rows")) == [0, 1, 2]
    assert list(progress.through([5.0], "share", lambda row: row / 10)) == [5.0]
    said = terminal.getvalue()
    assert "rows: 3 " in said
    assert "share: 50 % " in said
    assert said.endswith(progress.CLEAR)


def test_rows_go_through_a_pipe_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=shown))
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    assert list(progress.through(range(3), "rows")) == [0, 1, 2]
    assert shown.getvalue() == ""
