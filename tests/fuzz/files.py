"""Bytes as a file, for readers that take a path."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp


@contextmanager
def as_file(data: bytes) -> Iterator[Path]:
    """A path under which `data` can be opened; on no disk."""
    handle = os.memfd_create("fuzz")
    try:
        os.fchmod(handle, 0o600)  # others could change it else, which some readers refuse
        os.write(handle, data)
        yield Path(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


@cache
def folder() -> Path:
    """One folder of this process, in memory where the machine has such."""
    shared = Path("/dev/shm")
    return Path(mkdtemp(prefix="blackbox-fuzz-", dir=shared if os.access(shared, os.W_OK) else None))
