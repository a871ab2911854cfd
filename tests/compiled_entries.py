"""Both ways of reading the entries of a snapshot: in Python alone, and by the compiled part, made of these sources."""

import io
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from blackbox.sources.memory_snapshot.compiled.building import CompilerError, compile_library
from blackbox.sources.memory_snapshot.compiled.library import Library
from blackbox.sources.memory_snapshot.compiled.reader import CompiledEntryReader
from blackbox.sources.memory_snapshot.entry_reader import EntryReaderOf, PlainEntryReader
from blackbox.sources.memory_snapshot.unpickle import snapshots
from blackbox.sources.memory_snapshot.walk import walk
from tests.tools import missing

WAYS = ("python", "compiled")


class Way(NamedTuple):
    """One of them."""

    reader_of: EntryReaderOf

    def walk(self, packed: bytes, with_traces: bool = True) -> dict[str, Any]:
        (found,) = walk(io.BytesIO(packed), with_traces, self.reader_of)
        return found.snapshot

    def snapshot_data(self, packed: bytes) -> Any:
        (found,) = snapshots(io.BytesIO(packed), True, self.reader_of)
        return found.snapshot


def way_called(name: str) -> Way:
    """Skips the test where there is no compiler."""
    if name == "python":
        return Way(PlainEntryReader)
    return Way(partial(CompiledEntryReader, compiled_library()))


def compiled() -> EntryReaderOf:
    """By the compiled part, made anew. Raises `CompilerError`."""
    return partial(CompiledEntryReader, made_library())


def compiled_library() -> Library:
    """The compiled part; skips the test where there is no compiler."""
    try:
        return made_library()
    except CompilerError as error:
        missing(f"{error} (Debian: apt install gcc libc6-dev)")


@cache
def made_library() -> Library:
    """Made of these sources. Raises `CompilerError`."""
    with TemporaryDirectory() as folder:  # what is loaded needs its file no more
        return Library(compile_library(Path(folder)))
