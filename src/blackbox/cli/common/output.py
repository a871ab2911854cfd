"""Files that commands write."""

from pathlib import Path

from blackbox.errors import FailureError


def write_page(path: Path, page: bytes) -> None:
    """Raises `FailureError`."""
    try:
        path.write_bytes(page)
    except OSError as error:
        raise FailureError(f"{path}: {error.strerror}") from None
