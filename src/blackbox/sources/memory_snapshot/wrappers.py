"""What people put a snapshot into: gzip, Zstandard, bzip2, xz, a zip (`torch.save` writes one), a tar, the page that
PyTorch's memory_viz makes of it, or JSON instead of a pickle. Told by the first bytes, whatever the file is called."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from blackbox.paths import SNAPSHOT_SUFFIXES
from blackbox.sources.memory_snapshot.pickle_stream import PROTO

JSON_BEGINS = (b"{", b"[")
PAGE_BEGINS = (b"<", b"\n<")
PAGE_CHARS_MAX = 1 << 16
"""Of a page, before the snapshot: PyTorch writes 250."""
PAGE_KEY = b'"base64": "'
TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257
HEAD_BYTES = TAR_MAGIC_AT + len(TAR_MAGIC)
LAYERS_MAX = 3
"""Wrappers around each other: a zip of one file that was packed by itself has two."""
UNPACKED_FACTOR = 16
"""A file counts for so many times its size where it is packed: stacks that recur pack 20 times smaller and more."""


class WrapperError(Exception):
    """It holds no pickle, or more than one."""


def _gzip(file: io.BufferedIOBase) -> io.BufferedIOBase:
    import gzip  # as all of these: few files are packed, and loading it takes as long as reading a small one

    return gzip.GzipFile(fileobj=file)


def _bzip2(file: io.BufferedIOBase) -> io.BufferedIOBase:
    import bz2

    return bz2.BZ2File(cast(IO[bytes], file))


def _xz(file: io.BufferedIOBase) -> io.BufferedIOBase:
    import lzma

    return lzma.LZMAFile(cast(IO[bytes], file))


def _zstd(file: io.BufferedIOBase) -> io.BufferedIOBase:
    import zstandard

    return io.BufferedReader(
        zstandard.ZstdDecompressor().stream_reader(cast(IO[bytes], file), read_across_frames=True, closefd=False)
    )


def _zip(file: io.BufferedIOBase) -> io.BufferedIOBase:
    import zipfile

    packed = zipfile.ZipFile(cast(IO[bytes], file))
    return cast(io.BufferedIOBase, packed.open(_the_one("zip", packed.namelist())))


def _tar(file: io.BufferedIOBase) -> io.BufferedIOBase:
    if not file.seekable():
        raise WrapperError("a tar in Zstandard is not read: unpack it first")
    import tarfile

    packed = tarfile.open(fileobj=cast(IO[bytes], file))  # noqa: SIM115 - whoever reads it is done with it
    found = packed.extractfile(_the_one("tar", [one.name for one in packed if one.isfile()]))
    return cast(io.BufferedIOBase, found)


def _the_one(kind: str, names: list[str]) -> str:
    """The snapshot among the files of an archive; folders, what macOS adds, and hidden files are none."""
    plain = [name for name in names if not name.endswith("/") and not name.rpartition("/")[2].startswith(".")]
    found = [name for name in plain if name.lower().endswith(SNAPSHOT_SUFFIXES)] or plain
    if len(found) == 1:
        return found[0]
    if not found:
        raise WrapperError(f"an empty {kind}")
    raise WrapperError(f"a {kind} with several files in it ({', '.join(found[:3])}): unpack it first")


def _page(file: io.BufferedIOBase) -> io.BufferedIOBase:
    """The snapshot inside the page that `_memory_viz.py trace_plot` and the like write."""
    before = file.read(PAGE_CHARS_MAX)
    at = before.find(PAGE_KEY)
    if at < 0:
        raise WrapperError("a page, and not one of PyTorch's memory_viz with a snapshot in it")
    text = before[at + len(PAGE_KEY) :] + file.read()
    import base64

    return io.BytesIO(base64.b64decode(text[: text.index(b'"')]))


_UNWRAP: Mapping[bytes, Callable[[io.BufferedIOBase], io.BufferedIOBase]] = {
    b"\x1f\x8b": _gzip,
    b"\x28\xb5\x2f\xfd": _zstd,
    b"BZh": _bzip2,
    b"\xfd7zXZ": _xz,
    b"PK\x03\x04": _zip,
    **dict.fromkeys(PAGE_BEGINS, _page),
}


def is_wrapped(head: bytes) -> bool:
    """Whether a file that begins so is larger than it looks."""
    return _unwrap_of(head) is not None


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
    for _ in range(LAYERS_MAX):
        unwrap = _unwrap_of(head)
        if unwrap is None:
            break
        file = io.BufferedReader(cast(io.RawIOBase, unwrap(file)))
        head = file.peek(HEAD_BYTES)
    return file


def _unwrap_of(head: bytes) -> Callable[[io.BufferedIOBase], io.BufferedIOBase] | None:
    """None where nothing is around what begins so."""
    if head[TAR_MAGIC_AT:HEAD_BYTES] == TAR_MAGIC:
        return _tar
    return next((unwrap for magic, unwrap in _UNWRAP.items() if head.startswith(magic)), None)


def json_data(file: io.BufferedIOBase) -> Any:
    """What is in a file of JSON; None where it is none. Raises `msgspec.DecodeError`."""
    head = file.read(1)
    return msgspec.json.decode(head + file.read()) if head in JSON_BEGINS else None
