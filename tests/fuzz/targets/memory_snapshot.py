"""A PyTorch memory snapshot: a pickle, bare or wrapped, JSON, or its tree as msgpack. The child that reads one stands
whatever it raises."""

import bz2
import contextlib
import gzip
import io
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from blackbox.sources.memory_snapshot.choice import contents_of_file
from blackbox.sources.memory_snapshot.unpickle import plain_data, snapshots
from tests.mutations import NOT_A_TREE

ALLOWED = (Exception,)
INPUT_BYTES_MAX = 256 << 20
"""Half of what the child that reads one has. CPython's unpickler takes 110 MiB for some kilobytes that say so."""
RECORDED = Path(__file__).parents[2] / "recorded" / "torch"


def seeds() -> Sequence[bytes]:
    found = [path.read_bytes() for path in sorted(RECORDED.glob("*.pickle"))]
    trees = [plain_data(io.BytesIO(one)) for one in found]
    wrapped = (wrap(one) for one in found for wrap in (gzip.compress, bz2.compress, _zipped))
    nested = (pickle.dumps({"rank": 0, "snapshot": one, "of others": [one]}) for one in (*trees, *found))
    return [*found, *nested, *map(msgspec.msgpack.encode, trees), *map(msgspec.json.encode, trees), *wrapped]


def run(data: bytes) -> None:
    with contextlib.suppress(*NOT_A_TREE):
        data = pickle.dumps(msgspec.msgpack.decode(data, strict=False))
    contents_of_file(snapshots(io.BytesIO(data)), "all_stacks")


def _zipped(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("snapshot/data.pkl", data)
    return packed.getvalue()
