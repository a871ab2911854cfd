"""How far a command is with a large file, in one line that goes when it is done. On a terminal alone."""

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from blackbox.model.text import size

T = TypeVar("T")

BYTES_MIN = 10_000_000
"""Smaller files are read in a second or two."""
CLEAR = "\r\033[K"
EVERY_SECONDS = 0.3
"""Between two looks of a line that counts."""


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


def through(rows: Iterable[T], what: str, share: Callable[[T], float] | None = None) -> Iterator[T]:
    """The rows, with a line that says how many went by, or which share of all by `share` of the last. Shorter work is
    done in silence."""
    if not sys.stderr.isatty():
        yield from rows
        return
    due, shown = time.monotonic() + EVERY_SECONDS, False
    try:
        for count, row in enumerate(rows, 1):
            yield row
            if time.monotonic() >= due:
                far = f"{count:,}" if share is None else f"{100 * min(1.0, max(0.0, share(row))):.0f} %"
                print(f"{CLEAR}{what}: {far} ", end="", file=sys.stderr, flush=True)
                due, shown = time.monotonic() + EVERY_SECONDS, True
    finally:
        if shown:
            print(CLEAR, end="", file=sys.stderr, flush=True)
