"""The cursor's file."""

from pathlib import Path

import pytest

from blackbox.errors import FailureError
from blackbox.fleet.cursor import Cursor, CursorFile, machine_of


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    file = CursorFile(tmp_path)
    first = file.read()
    assert file.read() == first
    moved = Cursor(recording=first.recording, shipped_until=60.0, event_id=7, gaps=1)
    file.write(moved)
    assert CursorFile(tmp_path).read() == moved
    assert (tmp_path / "fleet.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"\xff", b'{"recording":1}'])
def test_a_damaged_one_begins_another_machine(damaged: bytes, tmp_path: Path) -> None:
    file = CursorFile(tmp_path)
    before = file.read().recording
    (tmp_path / "fleet.json").write_bytes(damaged)
    after = file.read()
    assert after.recording != before
    assert after.shipped_until is None


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FailureError, match="cannot write"):
        CursorFile(tmp_path / "none").read()
    (tmp_path / "fleet.json").mkdir()
    with pytest.raises(FailureError, match="cannot read"):
        CursorFile(tmp_path).read()


def test_machines_of_one_image_and_recordings_of_one_machine_differ(tmp_path: Path) -> None:
    one, other = tmp_path / "a", tmp_path / "b"
    one.write_text("id-a\n")
    other.write_text("id-b\n")
    found = {machine_of("r1", one), machine_of("r2", one), machine_of("r1", other), machine_of("r1", tmp_path / "none")}
    assert len(found) == 4
    assert all(len(machine) == 16 for machine in found)
