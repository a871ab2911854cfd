"""The compiled part under AddressSanitizer: python -m tests.fuzz.sanitized INPUTS SEED

Mutants of snapshot files are read by the compiled part, built so that a byte read or written where it must not be ends
the process, and by Python alone; both tell the same. `--beyond` tells it of a byte more than there is, to see it end.
"""

import ctypes
import io
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from blackbox.sources.memory_snapshot.choice import contents_of_file
from blackbox.sources.memory_snapshot.compiled.building import compile_library
from blackbox.sources.memory_snapshot.compiled.library import Library
from blackbox.sources.memory_snapshot.compiled.reader import CompiledEntryReader
from blackbox.sources.memory_snapshot.entry_reader import EntryReaderOf, PlainEntryReader
from blackbox.sources.memory_snapshot.entry_shape import BEGIN
from blackbox.sources.memory_snapshot.walk import walk
from tests.fuzz.targets.snapshot_walk import seeds
from tests.mutations import mutated

FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
PRELOAD = "LD_PRELOAD"


def runtime() -> str | None:
    """The library that the process has to be started with; None where there is none."""
    try:
        told = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    path = Path(told.stdout.strip())
    return str(path) if path.is_absolute() and path.exists() else None


class ExactLibrary(Library):
    """Is given the bytes of a file where nothing lies behind them; Python's own end with one more."""

    def __init__(self, path: Path, beyond: int = 0) -> None:
        super().__init__(path)
        self.read = exactly(self.read, beyond)
        self.kind = exactly(self.kind, beyond)
        self.upgrade = exactly(self.upgrade, beyond)


def exactly(function: Any, beyond: int) -> Any:
    """The same, given a copy of the bytes, and told of `beyond` more."""
    function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, *function.argtypes[2:])

    def called(reader: int, data: bytes, length: int, *rest: Any) -> Any:
        # of a heap, so that the sanitizer knows where it ends; small buffers of ctypes lie inside their objects
        copy = ctypes.c_char * max(length, 64)
        held = copy.from_buffer_copy(data.rjust(64, b"\0")) if length < 64 else copy.from_buffer_copy(data)
        begin = ctypes.addressof(held) + ctypes.sizeof(held) - length
        return function(reader, begin, length + beyond, *rest)

    return called


def told(data: bytes, reader_of: EntryReaderOf) -> bytes | None:
    """None where it is refused."""
    try:
        return msgspec.msgpack.encode(contents_of_file(walk(io.BytesIO(data), True, reader_of), "traces"))
    except Exception:  # the child that reads one stands whatever it raises
        return None


def main() -> int:
    library = runtime()
    if PRELOAD not in os.environ and library is not None:
        environ = {PRELOAD: library, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
        os.execve(sys.executable, [sys.executable, "-m", "tests.fuzz.sanitized", *sys.argv[1:]], os.environ | environ)
    del os.environ[PRELOAD]  # the compiler wants none
    with TemporaryDirectory() as folder:
        beyond = "--beyond" in sys.argv
        sanitized = ExactLibrary(compile_library(Path(folder), FLAGS), 4096 if beyond else 0)
    reader_of = partial(CompiledEntryReader, sanitized)
    if beyond:
        walk(io.BytesIO(_cut_in_an_entry()), True, reader_of)
        return 0
    inputs, seed = int(sys.argv[1]), int(sys.argv[2])
    agreed = 0
    for number, data in enumerate(mutated(random.Random(seed), [*seeds(), _cut_in_an_entry()], inputs)):
        ours, plain = told(data, reader_of), told(data, PlainEntryReader)
        if ours is not None and plain is not None:
            if ours != plain:
                print(f"input {number} of seed {seed} is told in two ways", file=sys.stderr)
                return 1
            agreed += 1
    print(f"{inputs} inputs, {agreed} of them read by both")
    return 0


def _cut_in_an_entry() -> bytes:
    """The last one of a trace, after its first keys."""
    whole = seeds()[-1]
    return whole[: whole.rindex(BEGIN, 0, whole.index(b"allocator_settings")) + 12]


if __name__ == "__main__":
    sys.exit(main())
