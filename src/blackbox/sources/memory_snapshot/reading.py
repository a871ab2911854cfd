"""Has a snapshot file read by a child process, within limits."""

from functools import partial
from pathlib import Path

import msgspec

from blackbox.analysis.rules import NO_RULES, CategoryRules
from blackbox.sources.isolation.reader import Progress, ReaderLimits, Work, read_in_child
from blackbox.sources.memory_snapshot.contents import Contents
from blackbox.sources.memory_snapshot.packed import packed_contents
from blackbox.sources.memory_snapshot.parts import SnapshotParts
from blackbox.sources.memory_snapshot.wrappers import UNPACKED_FACTOR, head_of, is_wrapped

FILE_BYTES_MAX = 1 << 30
"""Long histories with deep stacks take hundreds of megabytes."""
MEMORY_BYTES_BASE = 512 << 20
"""Python itself, and its address space."""
MEMORY_PER_FILE_BYTE = 24
"""A genuine history takes 8 to 12 times its size in the file."""
CPU_SECONDS_BASE = 20
FILE_BYTES_PER_CPU_SECOND = 10 << 20
"""A fifth of what one core of an old machine reads."""

_LIMITS = ReaderLimits(
    FILE_BYTES_MAX, MEMORY_BYTES_BASE, MEMORY_PER_FILE_BYTE, CPU_SECONDS_BASE, FILE_BYTES_PER_CPU_SECOND
)
_decoder = msgspec.msgpack.Decoder(Contents)


def read(
    path: Path, parts: SnapshotParts = "end", rules: CategoryRules = NO_RULES, progress: Progress | None = None
) -> Contents:
    """What is in the file, as far as it is asked for: its traces take time, of which `progress` tells.

    Raises `FailureError`; nothing in the file is executed, whatever it holds.
    """
    return _decoder.decode(_packed(path, parts, rules, progress, partial(packed_contents, parts, rules)))


def read_packed(path: Path, parts: SnapshotParts, rules: CategoryRules) -> bytes:
    """The same as the child wrote it."""
    return _packed(path, parts, rules)


def _packed(
    path: Path,
    parts: SnapshotParts,
    rules: CategoryRules,
    progress: Progress | None = None,
    work: Work | None = None,
) -> bytes:
    given = msgspec.msgpack.encode(rules) if rules.names else b""
    module, what = "blackbox.sources.memory_snapshot", "a memory snapshot of PyTorch"
    factor = UNPACKED_FACTOR if _is_wrapped(path) else 1
    return read_in_child(path, module, what, _LIMITS, [parts], given, progress, work, factor)


def _is_wrapped(path: Path) -> bool:
    """False where it cannot be read, or is no file: whoever reads it says so."""
    try:
        return path.is_file() and is_wrapped(head_of(path))
    except OSError:
        return False
