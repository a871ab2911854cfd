"""Both ways of reading the entries of a snapshot: in Python alone, and by the compiled part, made of these sources."""

import io
from collections.abc import Sequence
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
    try:
        return Way(compiled())
    except CompilerError as error:
        missing(f"{error} (Debian: apt install gcc libc6-dev)")


@cache
def compiled(flags: Sequence[str] = ()) -> EntryReaderOf:
    """The compiled part, made anew. Raises `CompilerError`."""
    with TemporaryDirectory() as folder:  # what is loaded needs its file no more
        return partial(CompiledEntryReader, Library(compile_library(Path(folder), flags)))
