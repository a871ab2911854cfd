"""Snapshots as people send them: packed, in a zip, as JSON. Each tells what the bare pickle tells."""

import base64
import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
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


def _in_a_folder(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.mkdir("run")
        file.writestr("run/snapshot", data)
    return packed.getvalue()


def _in_a_tar(data: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        for name, content in (("run/._rank0.pickle", b"of macOS"), ("run/rank0.pickle", data)):
            told = tarfile.TarInfo(name)
            told.size = len(content)
            file.addfile(told, io.BytesIO(content))
    return packed.getvalue()


def _on_a_page(snapshot: dict[str, Any]) -> bytes:
    """As `_memory_viz.py trace_plot` writes it, with zeros behind the pickle."""
    text = base64.b64encode(pickle.dumps(snapshot) + b"\0\0").decode()
    files = json.dumps([{"name": "snapshot.pickle", "base64": text}])
    return f"\n<!DOCTYPE html>\n<html>\n<script>\nconst local_files = {files}\n</script>\n".encode()


WAYS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "snapshot.pickle.gz": lambda snapshot: gzip.compress(pickle.dumps(snapshot)),
    "snapshot.pickle.zst": lambda snapshot: zstandard.compress(pickle.dumps(snapshot)),
    "snapshot.pickle.bz2": lambda snapshot: bz2.compress(pickle.dumps(snapshot)),
    "snapshot.pickle.xz": lambda snapshot: lzma.compress(pickle.dumps(snapshot)),
    "a zip.zip": lambda snapshot: _zipped("snapshot.pickle", pickle.dumps(snapshot)),
    "a folder in a.zip": lambda snapshot: _in_a_folder(pickle.dumps(snapshot)),
    "of torch.save.pt": lambda snapshot: _zipped("snapshot/data.pkl", pickle.dumps(snapshot, protocol=2)),
    "snapshot.json": lambda snapshot: json.dumps(snapshot).encode(),
    "of C++.pickle": lambda snapshot: pickle.dumps(snapshot, protocol=2),
    "in a tar.tar.gz": lambda snapshot: _in_a_tar(pickle.dumps(snapshot)),
    "packed twice.zip": lambda snapshot: _zipped("snapshot.pickle.gz", gzip.compress(pickle.dumps(snapshot))),
    "memory_viz.html": _on_a_page,
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
        (_zipped("notes.txt", b""), "several files in it .*: unpack it first"),
        (_zipped("\x1b[31m.txt", b""), r"several files in it \(\?\[31m.txt, "),
        (zstandard.compress(gzip.decompress(_in_a_tar(b""))), "a tar in Zstandard is not read"),
        (b"<!doctype html><p>nothing of that kind", "a page, and not one of PyTorch's memory_viz"),
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
