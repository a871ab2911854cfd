"""How far a command is with a large file, in one line that goes when it is done. On a terminal alone."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from blackbox.model.text import size

BYTES_MIN = 10_000_000
"""Smaller files are read in a second or two."""
CLEAR = "\r\033[K"


@contextmanager
def reading(path: Path) -> Generator[Callable[[int], None] | None]:
    """Gives what is to be told how many bytes of the file were read; None where nobody would see it."""
    total = path.stat().st_size if path.is_file() else 0
    if not sys.stderr.isatty() or total < BYTES_MIN:
        yield None
        return

    most = 0

    def tell(read: int) -> None:
        nonlocal most
        most = max(most, read)
        text = f"{size(read)} of {size(total)} read" if read or not most else "working out what was held when"
        print(f"{CLEAR}{path.name}: {text} ", end="", file=sys.stderr, flush=True)

    try:
        yield tell
    finally:
        print(CLEAR, end="", file=sys.stderr, flush=True)
