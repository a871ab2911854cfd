"""A PyTorch memory snapshot: a pickle, or its tree as msgpack. The child that reads one stands whatever it raises."""

import contextlib
import io
import pickle
from collections.abc import Sequence
from pathlib import Path

import msgspec

from blackbox.sources.memory_snapshot.contents import contents
from blackbox.sources.memory_snapshot.unpickle import plain_data
from tests.mutations import NOT_A_TREE

ALLOWED = (Exception,)
RECORDED = Path(__file__).parents[2] / "recorded" / "torch"


def seeds() -> Sequence[bytes]:
    found = [path.read_bytes() for path in sorted(RECORDED.glob("*.pickle"))]
    return [*found, *(msgspec.msgpack.encode(plain_data(io.BytesIO(one))) for one in found)]


def run(data: bytes) -> None:
    with contextlib.suppress(*NOT_A_TREE):
        data = pickle.dumps(msgspec.msgpack.decode(data, strict=False))
    contents(plain_data(io.BytesIO(data)), "all_stacks")
