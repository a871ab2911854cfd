"""Snapshots as people send them: packed, in a zip, as JSON. Each tells what the bare pickle tells."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from blackbox.errors import FailureError
from blackbox.sources.memory_snapshot import read
from tests.caching_allocator import MIB, CachingAllocator


def _snapshot() -> dict[str, Any]:
    memory = CachingAllocator()
    frames = [{"name": "forward", "filename": "/src/model.py", "line": 3}]
    kept = [memory.alloc(size * MIB, frames=frames) for size in (3, 1, 30)]
    memory.free(kept[0], frames=frames)
    return memory.snapshot((2, 15))


def _zipped(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, data)
        file.writestr("snapshot/version", b"3\n")
    return packed.getvalue()


WAYS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "snapshot.pickle.gz": lambda snapshot: gzip.compress(pickle.dumps(snapshot)),
    "snapshot.pickle.zst": lambda snapshot: zstandard.compress(pickle.dumps(snapshot)),
    "snapshot.pickle.bz2": lambda snapshot: bz2.compress(pickle.dumps(snapshot)),
    "snapshot.pickle.xz": lambda snapshot: lzma.compress(pickle.dumps(snapshot)),
    "a zip.zip": lambda snapshot: _zipped("snapshot.pickle", pickle.dumps(snapshot)),
    "of torch.save.pt": lambda snapshot: _zipped("snapshot/data.pkl", pickle.dumps(snapshot, protocol=2)),
    "snapshot.json": lambda snapshot: json.dumps(snapshot).encode(),
    "of C++.pickle": lambda snapshot: pickle.dumps(snapshot, protocol=2),
    "packed all the same.pickle": lambda snapshot: gzip.compress(pickle.dumps(snapshot)),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_tells_what_the_bare_pickle_tells(way: str, tmp_path: Path) -> None:
    bare, wrapped = tmp_path / "bare.pickle", tmp_path / way
    bare.write_bytes(pickle.dumps(_snapshot()))
    wrapped.write_bytes(WAYS[way](_snapshot()))
    told = read(wrapped, "traces")
    assert told.replayed is not None
    assert told.replayed.told.allocator.allocated_bytes == 34 * MIB
    assert told == read(bare, "traces")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (gzip.compress(pickle.dumps(_snapshot()))[:-40], "ended before the end-of-stream marker"),
        (zstandard.compress(b"nothing of that kind"), "invalid load key"),
        (_zipped("notes.txt", b""), "a zip without a pickle in it"),
        (b'{"segments": [', "truncated"),
        (b"[1]", "not a memory snapshot"),
        (gzip.compress(bytes(1 << 26), 1), "invalid load key"),
    ],
)
def test_one_that_holds_no_snapshot_is_refused_in_one_line(data: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(data)
    with pytest.raises(FailureError, match=told) as refused:
        read(path, "traces")
    assert "\n" not in str(refused.value)
