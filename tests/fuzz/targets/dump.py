"""A dump: the bytes of the file, or what its records hold as msgpack, which is packed with every checksum right."""

import struct
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from blackbox.errors import FailureError
from blackbox.recorder.dumps.file import MAGIC, Dump, RecordKind, new_head, write_dump
from blackbox.recorder.storage.compression import pack
from tests import incidents
from tests.fuzz.files import as_file, folder
from tests.moments import moment
from tests.mutations import NOT_A_TREE

ALLOWED = (FailureError,)
INPUT_BYTES_MAX = 256 << 20
"""An eighth of what the child that reads one has: what is packed tells its length, and a megabyte may hold 80."""
_RECORD = struct.Struct("<BI")
_LENGTH = struct.Struct("<I")
_pack = msgspec.msgpack.encode


def seeds() -> Sequence[bytes]:
    moments = incidents.leak()[-3:]
    head, events = new_head("test", 0.0, 1e12), incidents.events(incidents.leak())[:3]
    path = folder() / "seed.bbdump"
    write_dump(path, head, moments, events)
    trees = [msgspec.to_builtins(one) for one in (*moments[:2], moment())]
    bodies = [len(_pack(tree)) for tree in trees]
    records = [
        [int(RecordKind.HEAD), msgspec.to_builtins(head)],
        [int(RecordKind.EVENTS), msgspec.to_builtins(events)],
        [int(RecordKind.MOMENTS), [one.timestamp for one in moments], bodies, trees],
    ]
    return [path.read_bytes(), _pack(records)]


def run(data: bytes) -> None:
    with as_file(_put_together(data)) as path:
        dump = Dump(path)
        dump.events()
        for _ in dump.moments():
            pass
        for _ in dump.moments_apart(2.0, 1e12):
            pass


def _put_together(data: bytes) -> bytes:
    try:
        records = cast("list[list[Any]]", msgspec.msgpack.decode(data))
        return MAGIC + b"".join(_record(*one) for one in records)
    except (*NOT_A_TREE, IndexError):
        return data


def _record(kind: int, *contents: Any) -> bytes:
    if kind == RecordKind.MOMENTS:
        times, sizes, moments = contents
        head = _pack([times, sizes])
        body = pack(_LENGTH.pack(len(head)) + head + b"".join(map(_pack, moments)))
    else:
        body = pack(msgspec.json.encode(contents[0]))
    return _RECORD.pack(kind, len(body)) + body
