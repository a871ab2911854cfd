"""Files that commands write: whole, or not at all."""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from blackbox.errors import FailureError


def write_page(path: Path, page: bytes) -> None:
    """Raises `FailureError`."""
    with replacing(path) as file:
        file.write(page)


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """A file beside `path` that takes its place once all is written; whatever ends the writing before leaves `path` as
    it was, and nothing beside it. What is no file, such as a pipe, is written as it is. Raises `FailureError`."""
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        target = path.resolve()
        partial = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with partial.open("wb") as file:
                yield file
            if target.exists():
                partial.chmod(stat.S_IMODE(target.stat().st_mode))
            partial.replace(target)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()
    except OSError as error:
        raise FailureError(f"{path}: {error.strerror or error}") from None
