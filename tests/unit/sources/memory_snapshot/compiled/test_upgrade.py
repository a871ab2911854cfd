"""Pickles of protocol 2 and 3 are read as those of protocol 4 that hold the same."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.memory_snapshot import pickle_stream
from blackbox.sources.memory_snapshot.compiled.upgrade import CompiledUpgrade
from blackbox.sources.memory_snapshot.contents import contents
from blackbox.sources.memory_snapshot.entry_columns import EntryColumns
from blackbox.sources.memory_snapshot.pickle_stream import PickleStream, UnexpectedError
from blackbox.sources.memory_snapshot.unpickle import plain_data, snapshots
from tests.caching_allocator import VERSIONS, Version
from tests.compiled_entries import Way, compiled_library, way_called
from tests.unit.sources.memory_snapshot.test_walk import STEPS, trained

OLDER = (2, 3)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), 1 << 63) | st.floats(allow_nan=False) | st.text(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5) | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def compiled() -> Way:
    return way_called("compiled")


def upgraded(packed: bytes) -> bytes:
    stream = PickleStream(io.BytesIO(packed), CompiledUpgrade(compiled_library()))
    data = stream.data
    while not stream.at_end:
        stream.fill(len(stream.data))
        data += stream.data
    return data


@given(plain_values, st.sampled_from(OLDER), st.integers(1, 40))
def test_the_same_data_are_read_whatever_the_pieces(value: Any, protocol: int, chunk: int) -> None:
    packed = pickle.dumps(value, protocol) + b"what follows"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pickle_stream, "CHUNK_BYTES", chunk)
        assert pickle.loads(b"\x80\x04" + upgraded(packed)) == value


@pytest.mark.parametrize("protocol", OLDER)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_trace_becomes_columns(compiled: Way, version: Version, protocol: int) -> None:
    snapshot = trained(STEPS).snapshot(version)
    found = compiled.walk(pickle.dumps(snapshot, protocol))
    assert isinstance(found["device_traces"][0], EntryColumns)
    whole = compiled.walk(pickle.dumps(snapshot, 4))
    told, as_of_4 = (msgspec.msgpack.encode(contents(one, "all_stacks")) for one in (found, whole))
    assert told == as_of_4


def test_what_torch_save_wrote_is_read_so(compiled: Way, tmp_path: Path) -> None:
    """A zip of several files, of which one is the pickle."""
    snapshot = trained(STEPS).snapshot((2, 10))
    path = tmp_path / "saved.pt"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("saved/data.pkl", pickle.dumps(snapshot, 2))
        packed.writestr("saved/version", "3\n")
    with path.open("rb") as file:
        (found,) = snapshots(file, True, compiled.reader_of)
    assert isinstance(found.snapshot["device_traces"][0], EntryColumns)


@pytest.mark.parametrize(
    "packed",
    [
        pickle.dumps([1], 2).replace(b"q\x00", b"q\x01"),  # not numbered in turn
        pickle.dumps(Path, 2),  # names a class
        pickle.dumps(b"bytes", 3),
        pickle.dumps("x" * 300, 2),
    ],
)
def test_what_is_not_known_is_left_to_the_reader_of_objects(packed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_stream, "CHUNK_BYTES", 64)
    monkeypatch.setattr(pickle_stream, "UPGRADED_BYTES_MAX", 256)
    with pytest.raises(UnexpectedError):
        upgraded(packed)


def test_a_file_cut_off_ends_there() -> None:
    packed = pickle.dumps(trained(3).snapshot((2, 10)), 2)
    whole = upgraded(packed)
    for end in range(2, len(packed), 37):
        assert whole.startswith(upgraded(packed[:end]))


def test_python_alone_reads_them_by_their_objects() -> None:
    packed = pickle.dumps(trained(STEPS).snapshot((2, 10)), 2)
    assert way_called("python").snapshot_data(packed) == plain_data(io.BytesIO(packed))
