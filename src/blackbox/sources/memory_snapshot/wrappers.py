"""What people put a snapshot into: gzip, Zstandard, bzip2, xz, a zip (`torch.save` writes one), or JSON instead of a
pickle. Told by the first bytes, whatever the file is called."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from blackbox.sources.memory_snapshot.pickle_stream import PROTO

PICKLES = (".pickle", ".pkl")
"""Names inside a zip; `torch.save` calls it `data.pkl`."""
JSON_BEGINS = (b"{", b"[")
HEAD_BYTES = 8
UNPACKED_FACTOR = 16
"""A file counts for so many times its size where it is packed: stacks that recur pack 20 times smaller and more."""


class WrapperError(Exception):
    """It holds no pickle."""


def _zstd(file: io.BufferedIOBase) -> io.BufferedIOBase:
    import zstandard  # few files are packed so, and it takes as long to load as a small one to read

    return io.BufferedReader(
        zstandard.ZstdDecompressor().stream_reader(cast(IO[bytes], file), read_across_frames=True, closefd=False)
    )


def _zip(file: io.BufferedIOBase) -> io.BufferedIOBase:
    packed = zipfile.ZipFile(cast(IO[bytes], file))
    names = [name for name in packed.namelist() if name.lower().endswith(PICKLES)]
    if len(names) != 1:
        raise WrapperError(f"a zip with {len(names)} pickles in it" if names else "a zip without a pickle in it")
    return cast(io.BufferedIOBase, packed.open(names[0]))


_UNWRAP: Mapping[bytes, Callable[[io.BufferedIOBase], io.BufferedIOBase]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"\x28\xb5\x2f\xfd": _zstd,
    b"BZh": lambda file: bz2.BZ2File(cast(IO[bytes], file)),
    b"\xfd7zXZ": lambda file: lzma.LZMAFile(cast(IO[bytes], file)),  # noqa: SIM115 - whoever reads it is done with it
    b"PK\x03\x04": _zip,
}


def is_wrapped(head: bytes) -> bool:
    """Whether a file that begins so is larger than it looks."""
    return any(head.startswith(magic) for magic in _UNWRAP)


def may_be_snapshot(head: bytes) -> bool:
    """Whether a file that begins so can be a snapshot at all."""
    return head[:1] == bytes([PROTO]) or head.startswith(JSON_BEGINS) or is_wrapped(head)


def head_of(path: Path) -> bytes:
    """How a file begins. Raises `OSError`."""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def unwrapped(file: io.BufferedIOBase) -> io.BufferedIOBase:
    """What is inside, from its beginning; the file itself where nothing is around it. Raises `WrapperError`, or what a
    broken wrapper provokes."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    for magic, unwrap in _UNWRAP.items():
        if head.startswith(magic):
            return unwrap(file)
    return file


def json_data(file: io.BufferedIOBase) -> Any:
    """What is in a file of JSON; None where it is none. Raises `msgspec.DecodeError`."""
    head = file.read(1)
    return msgspec.json.decode(head + file.read()) if head in JSON_BEGINS else None
