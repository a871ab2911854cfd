"""What a program in a container is handed leads nowhere else."""

import os
from pathlib import Path

import pytest

from blackbox.injection.detour import outside


def test_a_program_on_the_same_disk_is_handed_nothing() -> None:
    assert not outside.is_elsewhere(os.getpid())
    with outside.handed(os.getpid(), "/run") as handed:
        assert handed.descriptors == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can copy a mount")
def test_a_copied_folder_is_read_only_and_has_no_way_up(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_text("1")
    (tmp_path / "secret").write_text("2")
    try:
        folder = outside.copied(str(tmp_path / "inner"))
    except OSError as error:
        pytest.skip(f"this kernel copies no mount: {error}")
    here = Path(f"/proc/self/fd/{folder}")
    assert (here / "file").read_text() == "1"
    assert not (here / ".." / "secret").exists()
    with pytest.raises(OSError, match="Read-only"):
        (here / "file").write_text("3")
    os.close(folder)


def test_a_door_has_no_file() -> None:
    with outside.listen(os.getpid(), "blackbox-test-door") as door:
        assert door.getsockname() == b"\0blackbox-test-door"
