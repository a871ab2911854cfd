"""What the limited process makes of a snapshot file: bytes, for the one that asked."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from blackbox.analysis.rules import CategoryRules
from blackbox.errors import FailureError
from blackbox.sources.isolation.reader import one_line
from blackbox.sources.memory_snapshot.choice import contents_of_file
from blackbox.sources.memory_snapshot.compiled import compiled_reader
from blackbox.sources.memory_snapshot.entry_reader import PlainEntryReader
from blackbox.sources.memory_snapshot.nested import Nested
from blackbox.sources.memory_snapshot.parts import SnapshotParts
from blackbox.sources.memory_snapshot.unpickle import snapshots


def packed_contents(parts: SnapshotParts, rules: CategoryRules, path: Path, memory_bytes: int) -> bytes:
    """The packed `Contents`. Raises `FailureError` where that cannot be done within so much memory."""

    def make(found: Sequence[Nested]) -> bytes:
        return msgspec.msgpack.encode(contents_of_file(found, parts, rules))

    return packed(make, parts != "end", path, memory_bytes)


def packed(make: Callable[[Sequence[Nested]], bytes], with_traces: bool, path: Path, memory_bytes: int) -> bytes:
    """What `make` makes of the snapshots in the file. Raises `FailureError`."""
    try:
        with path.open("rb") as pickled:
            found = snapshots(pickled, with_traces, compiled_reader() or PlainEntryReader)
        return make(found)
    except MemoryError:
        raise FailureError(f"it would take more than {memory_bytes >> 20} MiB to read") from None
    except Exception as error:  # a broken pickle may provoke any of them
        raise FailureError(one_line(f"not a memory snapshot of PyTorch: {error or type(error).__name__}")) from None
