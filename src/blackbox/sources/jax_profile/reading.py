"""Has a profile read by a child process, within limits."""

from pathlib import Path

import msgspec

from blackbox.sources.isolation.reader import ReaderLimits, read_in_child
from blackbox.sources.jax_profile.contents import ProfileContents

FILE_BYTES_MAX = 64 << 20
"""Genuine profiles take kilobytes, and shrink to a fifth."""
MEMORY_BYTES = 2 << 30
"""For one that unpacks to as much as is read, and for Python itself."""
CPU_SECONDS = 60
"""Python reads some megabytes a second of what is unpacked."""

_LIMITS = ReaderLimits(FILE_BYTES_MAX, MEMORY_BYTES, 0, CPU_SECONDS, FILE_BYTES_MAX)
_decoder = msgspec.msgpack.Decoder(ProfileContents)


def read(path: Path) -> ProfileContents:
    """What is in the file. Raises `FailureError`."""
    return _decoder.decode(
        read_in_child(path, "blackbox.sources.jax_profile", "a device memory profile of JAX", _LIMITS)
    )
