"""The frame of a `.ncu-rep` file: which process each kernel is of, and whether the file is whole.

NVIDIA's reader tells neither: it has no process, and takes what is left of a file that was cut for a shorter report. Of
the unpublished format only the frame is looked at: a head, then blocks, each with a small message in front that tells
its size, how many kernels are in it, and whose they are. Figures are read by NVIDIA's reader alone. A file that does
not look like that is left to the reader.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from blackbox.sources.protobuf import ProtobufError, fields

MAGIC = b"NVR\0"
HEAD_BYTES_MAX = 16 << 20
"""Of one block's message; genuine ones take up to 100 KiB."""
BLOCKS_MAX = 1_000_000
"""A block per kernel, and a few more."""
_SOURCES, _RESULTS, _PAYLOAD, _PROCESS = 1, 2, 5, 6
_PID, _HOST, _PROGRAM = 1, 2, 3
_TEXT_CHARS_MAX = 300


class CutError(Exception):
    """The file ends before it should."""


class ReportProcess(NamedTuple):
    """Who launched the kernels of a block."""

    pid: int
    host: str
    program: str


class ReportBlock(NamedTuple):
    kernels: int
    process: ReportProcess | None


def processes_of(path: Path, kernels: int) -> Sequence[ReportProcess | None]:
    """The process of each kernel, in the order of the file; None for each where that is not told. Raises `CutError`."""
    unknown = [None] * kernels
    try:
        with path.open("rb") as file:
            blocks = list(_blocks(file, path.stat().st_size))
    except ProtobufError:
        return unknown
    found = [block.process for block in blocks for _ in range(min(block.kernels, kernels + 1))]
    one = set(found)
    if len(found) != kernels and len(one) == 1:
        return [*one] * kernels
    return found if len(found) == kernels else unknown


def _blocks(file: BinaryIO, size: int) -> Iterator[ReportBlock]:
    if file.read(len(MAGIC)) != MAGIC:
        raise ProtobufError("it has another head")
    _message(file, size)
    for _ in range(BLOCKS_MAX):
        if file.tell() == size:
            return
        message = dict(fields(_message(file, size)))
        payload, kernels = message.get(_PAYLOAD, 0), message.get(_RESULTS, 0)
        if not isinstance(payload, int) or not isinstance(kernels, int) or _SOURCES not in message:
            raise ProtobufError("it has blocks of another kind")
        if payload > size - file.tell():
            raise CutError(f"it is cut: {payload - (size - file.tell())} bytes of its last block are missing")
        file.seek(payload, 1)
        yield ReportBlock(kernels, _process(message.get(_PROCESS)))


def _message(file: BinaryIO, size: int) -> bytes:
    """The next message, with its length in front."""
    length = int.from_bytes(_exactly(file, 4, size), "little")
    if length > HEAD_BYTES_MAX:
        raise ProtobufError("it has a block with a message of another kind")
    return _exactly(file, length, size)


def _exactly(file: BinaryIO, length: int, size: int) -> bytes:
    if length > size - file.tell():
        raise CutError("it is cut: it ends within the message of a block")
    return file.read(length)


def _process(message: int | bytes | None) -> ReportProcess | None:
    if not isinstance(message, bytes):
        return None
    told = dict(fields(message))
    pid = told.get(_PID)
    return ReportProcess(pid, _text(told.get(_HOST)), _text(told.get(_PROGRAM))) if isinstance(pid, int) else None


def _text(value: int | bytes | None) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else ""
    return "".join(char if char.isprintable() else "?" for char in text[:_TEXT_CHARS_MAX])
