"""A PyTorch memory snapshot, read opcode by opcode, in Python alone and by the compiled part where a compiler is, and
by its objects: where two of them read it, they tell the same. Of an object that holds itself, which no honest file has,
each may tell what it meets."""

import io
import pickle
from collections.abc import Callable, Sequence
from functools import cache, partial

import msgspec

from blackbox.sources.memory_snapshot.choice import contents_of_file
from blackbox.sources.memory_snapshot.compiled.building import CompilerError
from blackbox.sources.memory_snapshot.entry_reader import EntryReaderOf, PlainEntryReader
from blackbox.sources.memory_snapshot.nested import Nested, snapshots_in
from blackbox.sources.memory_snapshot.unpickle import plain_data
from blackbox.sources.memory_snapshot.walk import walk
from tests.caching_allocator import MIB, CachingAllocator
from tests.compiled_entries import compiled
from tests.traced_programs import STACKS

ALLOWED = ()


def seeds() -> Sequence[bytes]:
    memory = CachingAllocator(100 * MIB)
    for step in range(6):
        memory.tag = "even" if step % 2 else f"step {step}"
        held = memory.alloc(20 * MIB, frames=list(STACKS[step % 4]))
        memory.free(held, later=step == 3, frames=list(STACKS[2]))
    written = [memory.snapshot(version) for version in ((2, 0), (2, 5), (2, 12), (2, 15))]
    return [*map(pickle.dumps, written), pickle.dumps(written[2], 2), pickle.dumps({"ranks": written[2:]})]


def run(data: bytes) -> None:
    if _holds_itself(data):
        return
    plain = _told(_plain, data)
    for reader_of in _readers():
        walked = _told(partial(walk, reader_of=reader_of), data)
        assert walked is None or plain is None or walked == plain


@cache
def _readers() -> Sequence[EntryReaderOf]:
    try:
        return PlainEntryReader, compiled()
    except CompilerError:
        return (PlainEntryReader,)


def _plain(data: io.BytesIO) -> Sequence[Nested]:
    return snapshots_in(plain_data(data), plain_data)


def _holds_itself(data: bytes) -> bool:
    try:
        msgspec.msgpack.encode(plain_data(io.BytesIO(data)))
    except RecursionError:
        return True
    except Exception:  # no pickle, or something in it that msgpack has not
        return False
    return False


def _told(read: Callable[[io.BytesIO], Sequence[Nested]], data: bytes) -> bytes | None:
    """None where it is refused."""
    try:
        return msgspec.msgpack.encode(contents_of_file(read(io.BytesIO(data)), "traces"))
    except Exception:  # the child that reads one stands whatever it raises
        return None
