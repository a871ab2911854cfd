"""The blobs of a chunk, as msgpack of what they hold: they are packed with every checksum right."""

import struct
from array import array
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from blackbox.recorder.storage.columns import Columns, encode
from blackbox.recorder.storage.compression import DamageError, Packer, pack, unpack
from blackbox.recorder.storage.layout import Layout
from blackbox.recorder.storage.rows import check_row, layout_id, pack_row, packed_run, tail_runs, unpack_row
from blackbox.recorder.storage.subjects import MACHINE, Subject
from tests.mutations import NOT_A_TREE

ALLOWED = (DamageError,)
_LENGTH = struct.Struct("<I")
_pack = msgspec.msgpack.encode


def seeds() -> Sequence[bytes]:
    layout = Layout((MACHINE, Subject("gpu", gpu_uuid="GPU-0", gpu=0), Subject("process", pid=1, start_time=1.5)))
    width = len(layout.keys)
    times = [1.8e9 + second for second in range(5)]
    numbers = [
        [float(place * row % 7) if (place + row) % 5 else float("nan") for row in range(5)] for place in range(width)
    ]
    body = unpack(
        encode([times, [float(layout.checksum)] * 5, *numbers, [0.1 + 1e-9, 2e300, 3.0, 4.5, 5.25]][: 2 + width])
    )
    (length,) = _LENGTH.unpack_from(body)
    head = msgspec.msgpack.decode(body[_LENGTH.size : _LENGTH.size + length])
    row = unpack_row(pack_row(1.8e9, layout.checksum, [1.0] * width, Packer())).tolist()
    return [_pack([msgspec.msgpack.decode(layout.body), head, body[_LENGTH.size + length :], row])]


def run(data: bytes) -> None:
    try:
        subjects, head, body, row = cast("tuple[Any, Any, bytes, list[float]]", msgspec.msgpack.decode(data))
        packed, head = _pack(subjects), _pack(head)
        blob = pack(_LENGTH.pack(len(head)) + head + body)
        alone = pack(array("d", row).tobytes())
    except NOT_A_TREE:
        raise DamageError("no contents of a chunk") from None
    layout = Layout.unpacked(pack(packed))

    def find_layout(number: int) -> Layout:
        return layout

    stored = unpack_row(alone)
    check_row(stored, find_layout(layout_id(stored[1])))
    for one in tail_runs([stored], find_layout):
        for place in range(len(layout.keys)):
            one.column(place)
    Columns(blob)
    run = packed_run(blob, find_layout)
    for place in range(len(layout.keys)):
        if len(run.column(place)) != len(run.times):
            raise AssertionError("a column of another length than its times")
