"""Files that commands write are whole, or not there."""

import os
from pathlib import Path

import pytest

from blackbox.cli.common.output import replacing
from blackbox.errors import FailureError


def test_a_file_takes_its_place_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with replacing(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def write_half(path: Path, error: BaseException) -> None:
    with replacing(path) as file:
        file.write(b"half")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, BrokenPipeError])
def test_what_ends_the_writing_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"before")
    with pytest.raises((error, FailureError)):
        write_half(path, error())
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "page.html", tmp_path / "link"
    path.write_bytes(b"before")
    path.chmod(0o600)
    link.symlink_to(path)
    with replacing(link) as file:
        file.write(b"after")
    assert link.is_symlink()
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"after", 0o600)


def test_a_pipe_is_written_as_it_is() -> None:
    reader, writer = os.pipe()
    with replacing(Path(f"/dev/fd/{writer}")) as file:
        file.write(b"rows")
    os.close(writer)
    assert os.read(reader, 10) == b"rows"
    os.close(reader)


def test_where_nothing_can_be_written_it_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FailureError, match="No such file or directory"), replacing(tmp_path / "no" / "x") as file:
        file.write(b"")
