"""The data directory: where it is, who holds it, what is in it."""

import os
from pathlib import Path

import pytest

from blackbox.errors import FailureError
from blackbox.recorder.storage.directory import (
    DirectoryLock,
    HeldError,
    chunk_file,
    chunk_files,
    prepare,
    tidy,
)
from blackbox.recorder.storage.dump_files import DUMP_SUFFIX, DUMPS_DIRECTORY, PARTIAL_SUFFIX


def test_chunks_are_listed_by_start_and_number(tmp_path: Path) -> None:
    wanted = [chunk_file(tmp_path, "full", start, number) for start, number in [(0, 0), (600, 0), (600, 1)]]
    for chunk in reversed(wanted):
        chunk.path.touch()
    for name in ("full-yesterday-0.db", "minute-19700101T000000Z-0.db", "full-19700101T000000Z-0.db-wal", "notes.txt"):
        (tmp_path / name).touch()
    assert chunk_files(tmp_path, "full") == wanted


def test_a_chunk_counts_and_goes_with_its_companions(tmp_path: Path) -> None:
    chunk = chunk_file(tmp_path, "full", 0, 0)
    chunk.path.write_bytes(b"12345")
    chunk.path.with_name(chunk.path.name + "-wal").write_bytes(b"123")
    assert chunk.bytes() == 8
    chunk.delete()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(26)
def test_row_26_the_second_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    first = DirectoryLock(tmp_path)
    with pytest.raises(HeldError, match=f"process {os.getpid()} "):
        DirectoryLock(tmp_path)
    first.close()
    DirectoryLock(tmp_path).close()


@pytest.mark.fault(26)
def test_row_26_a_stale_lock_file_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1\n")
    DirectoryLock(tmp_path).close()
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.fault(25)
def test_row_25_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FailureError, match="cannot record in") as caught:
        prepare(tmp_path / "file" / "data")
    assert "\n" not in str(caught.value)


def test_only_the_owner_can_look_inside(tmp_path: Path) -> None:
    prepare(tmp_path / "new" / "data")
    assert (tmp_path / "new" / "data").stat().st_mode & 0o077 == 0


@pytest.mark.fault(66)
@pytest.mark.parametrize(("mode", "is_warned"), [(0o755, False), (0o777, True), (0o775, True), (0o1777, False)])
def test_row_66_where_others_can_replace_files_it_is_said(
    mode: int, is_warned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "readme.txt").touch()  # so that the directory is not closed as one of a recording alone
    tmp_path.chmod(mode)
    prepare(tmp_path)
    assert ("another user can replace files" in caplog.text) is is_warned


def test_what_cannot_be_removed_of_a_killed_process_hinders_no_start(tmp_path: Path) -> None:
    stuck = tmp_path / DUMPS_DIRECTORY / f".oom-1-20261122T120307Z-1{DUMP_SUFFIX}.77{PARTIAL_SUFFIX}"
    left = stuck.with_name(f".oom-1-20261122T120307Z-2{DUMP_SUFFIX}.77{PARTIAL_SUFFIX}")
    stuck.mkdir(parents=True)  # as another user's file, it cannot be unlinked
    left.touch()
    tidy(tmp_path)
    assert [*stuck.parent.iterdir()] == [stuck]
