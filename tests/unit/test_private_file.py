"""Files with secrets: read whole where they are private, refused in one line where they are not."""

from pathlib import Path

import pytest

from blackbox.errors import FailureError
from blackbox.private_file import private_lines


def secret_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_lines_are_read_without_remarks(tmp_path: Path) -> None:
    assert private_lines(secret_file(tmp_path, "# mail\n\n  one: 1 \ntwo\n")) == ["one: 1", "two"]


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o604, 0o660])
def test_a_file_that_others_can_use_is_refused(mode: int, tmp_path: Path) -> None:
    with pytest.raises(FailureError, match="chmod 600"):
        private_lines(secret_file(tmp_path, "json://localhost/", mode))


def test_other_things_than_a_short_text_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/zero"), tmp_path / "missing"):
        with pytest.raises(FailureError):
            private_lines(path)
    with pytest.raises(FailureError, match="larger"):
        private_lines(secret_file(tmp_path, "#" * 70_000))
    (tmp_path / "secret").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FailureError, match="not text"):
        private_lines(tmp_path / "secret")
