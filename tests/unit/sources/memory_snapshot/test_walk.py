"""The walk over the opcodes of a snapshot tells what its objects tell, makes none of its entries, and gives up on
whatever PyTorch does not write."""

import io
import pickle
import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox.sources.memory_snapshot import pickle_stream
from blackbox.sources.memory_snapshot.contents import contents
from blackbox.sources.memory_snapshot.entry_columns import EntryColumns, columns_of
from blackbox.sources.memory_snapshot.pickle_stream import UnexpectedError
from blackbox.sources.memory_snapshot.unpickle import plain_data
from tests.caching_allocator import MIB, VERSIONS, CachingAllocator, Version
from tests.compiled_entries import WAYS, Way, way_called
from tests.mutations import mutated
from tests.traced_programs import STACKS, allocators, perform, programs

PROTOCOLS = (4, 5)
COLUMNS = ("action", "address", "size", "stream", "frames", "time_us", "tag", "pool", "category", "device_free")
MUTATIONS = 3000
STEPS = 200
"""Of six entries each: more than pickle writes of a list in one piece (1,000)."""


@pytest.fixture(params=WAYS, scope="module")
def way(request: pytest.FixtureRequest) -> Way:
    return way_called(request.param)


@cache
def trained(steps: int) -> CachingAllocator:
    """To be looked at alone: it is made once."""
    memory = CachingAllocator(1 << 40)
    for step in range(steps):
        memory.tag = ("", "warm-up", f"request {step}", "x" * 200)[step % 4]
        first = memory.alloc(20 * MIB + 512 * (step % 5), frames=list(STACKS[step % 4]))
        memory.free(memory.alloc(600, frames=list(STACKS[1])), frames=list(STACKS[2]))
        memory.free(first, later=step % 7 == 0, frames=list(STACKS[3]))
    return memory


def told(snapshot: Any) -> bytes:
    return msgspec.msgpack.encode(contents(snapshot, "all_stacks"))


def as_columns(entries: "EntryColumns | Sequence[dict[str, Any]]") -> dict[str, Any]:
    """With the frames and notes themselves, whatever their numbers."""
    columns = columns_of(entries)
    found = {key: list(value) if value is not None else None for key, value in vars(columns).items() if key in COLUMNS}
    found["frames"] = [columns.lists[number] if number >= 0 else () for number in found["frames"]]
    found["tag"] = [columns.tags[number] for number in found["tag"]]
    return found | {"device_free": columns.device_free}


def assert_the_same(way: Way, snapshot: dict[str, Any], protocol: int) -> dict[str, Any]:
    packed = pickle.dumps(snapshot, protocol)
    found = way.walk(packed)
    plain = plain_data(io.BytesIO(packed))
    assert {**found, "device_traces": 0, "host_traces": 0} == {**plain, "device_traces": 0, "host_traces": 0}
    for one, other in zip(found["device_traces"], plain["device_traces"], strict=True):
        assert as_columns(one) == as_columns(other)
    assert told(found) == told(plain)
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_trace_of_every_version_becomes_columns(way: Way, version: Version, protocol: int) -> None:
    found = assert_the_same(way, trained(STEPS).snapshot(version), protocol)
    (trace,) = found["device_traces"]
    assert isinstance(trace, EntryColumns)
    assert len(trace) == 6 * STEPS + 3 > 1000


@pytest.mark.parametrize("version", VERSIONS)
def test_the_end_alone_needs_of_a_trace_the_last_entry(way: Way, version: Version) -> None:
    packed = pickle.dumps(trained(STEPS).snapshot(version))
    found = way.walk(packed, with_traces=False)
    assert len(found["device_traces"][0]) < 100
    assert contents(found, "end") == contents(plain_data(io.BytesIO(packed)), "end")


@given(memory=allocators(), program=programs, version=st.sampled_from(VERSIONS), device=st.integers(0, 3))
@settings(max_examples=60)
def test_any_program_is_told_alike(
    way: Way, memory: CachingAllocator, program: list[tuple[Any, ...]], version: Version, device: int
) -> None:
    perform(memory, program)
    assert_the_same(way, memory.snapshot(version, device), 4)


@pytest.mark.parametrize("chunk", [1, 7, 100, 4096])
def test_entries_may_be_cut_anywhere_where_the_file_is_read_in_pieces(
    way: Way, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pickle.dumps(trained(60).snapshot((2, 15)))
    whole = told(way.walk(packed))
    monkeypatch.setattr(pickle_stream, "CHUNK_BYTES", 2048 + chunk)
    monkeypatch.setattr("blackbox.sources.memory_snapshot.walk.LOOK_AHEAD_BYTES", 2048)
    assert told(way.walk(packed)) == whole


def changed(place: int, **changes: Any) -> dict[str, Any]:
    snapshot = trained(40).snapshot((2, 15))
    snapshot["device_traces"][0][place] |= changes
    return snapshot


@pytest.mark.parametrize(
    "snapshot",
    [
        changed(5, action="annotate", size=None, user_metadata="a late note"),
        changed(5, action="annotate", user_metadata="a late note"),
        changed(5, action="of a later release"),
        changed(5, action="oom", device_free=7),
        changed(5, user_metadata=None),
        changed(5, user_metadata="ä" * 300),
        changed(5, more={"nested": [1, 2.5, None, (), (1, 2, 3)]}),
        changed(5, frames=[]),
        changed(5, frames=[{"filename": "new.py", "line": 1, "name": "one"}]),
        changed(5, category="parameter"),
        changed(0, category="parameter"),
        changed(5, time_us=1 << 54),
    ],
)
def test_odd_entries_among_others(way: Way, snapshot: dict[str, Any]) -> None:
    packed = pickle.dumps(snapshot)
    assert told(way.snapshot_data(packed)) == told(plain_data(io.BytesIO(packed)))


@pytest.mark.parametrize("changes", [{"time_us": -1}, {"size": -1}, {"addr": 1 << 64}, {"size": "much"}])
def test_numbers_that_no_device_has_are_left_to_the_reader_of_objects(way: Way, changes: dict[str, Any]) -> None:
    packed = pickle.dumps(changed(50, **changes))
    with pytest.raises((UnexpectedError, ValueError, TypeError, OverflowError)):
        way.walk(packed)
    read = contents(way.snapshot_data(packed), "traces")
    assert read.replayed is None
    assert read.sample.allocators


def test_the_host_has_columns_too(way: Way) -> None:
    host = [{"action": "alloc", "addr": n << 12, "size": 4096, "stream": 0, "time_us": 1 << 50} for n in range(1, 99)]
    snapshot = trained(5).snapshot((2, 15)) | {"host_traces": host, "host_segments": []}
    found = way.walk(pickle.dumps(snapshot))
    assert isinstance(found["host_traces"], EntryColumns)
    assert as_columns(found["host_traces"]) == as_columns(host)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3])
def test_older_protocols_are_read_whole(protocol: int) -> None:
    """By their objects; compiled code reads two of them (`compiled/test_upgrade.py`)."""
    way = way_called("python")
    packed = pickle.dumps(trained(5).snapshot((2, 12)), protocol)
    with pytest.raises(UnexpectedError):
        way.walk(packed)
    assert told(way.snapshot_data(packed)) == told(plain_data(io.BytesIO(packed)))


@pytest.mark.parametrize(
    "thing",
    [print, {"segments": print}, b"bytes", {"segments": [], "more": {1}}, 1 << 3000, frozenset(), bytearray(b"x")],
)
def test_what_is_no_plain_data_is_given_up(way: Way, thing: object) -> None:
    with pytest.raises(UnexpectedError):
        way.walk(pickle.dumps(thing, 5))


@pytest.mark.slow
def test_mutated_files_are_told_as_their_objects_are(way: Way) -> None:
    seeds = [pickle.dumps(trained(6).snapshot(version)) for version in ((2, 1), (2, 12), (2, 15))]
    agreed = 0
    for data in mutated(random.Random(11), seeds, MUTATIONS):
        try:
            found = told(way.walk(data))
        except Exception:
            continue
        try:
            plain = told(plain_data(io.BytesIO(data)))
        except Exception:
            continue
        assert found == plain
        agreed += 1
    assert agreed > MUTATIONS / 100
