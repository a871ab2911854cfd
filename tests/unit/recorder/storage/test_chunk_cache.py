"""Chunks that are kept between questions answer as those that are read anew, whatever has happened to the files."""

import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blackbox.model.query import History
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage import chunk_cache
from blackbox.recorder.storage.chunk_cache import SETTLED_SECONDS, ChunkCache
from blackbox.recorder.storage.directory import chunk_files
from blackbox.recorder.storage.store import Store
from blackbox.recorder.storage.tier_reader import TierReader
from blackbox.recorder.storage.tiers import FULL, TIERS
from tests.recorded_moments import HOUR, PID, record, series

START = 1_799_971_200.0
TICK_SECONDS = 0.02
"""Longer than any clock of a file system stands still."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def settled() -> float:
    """A wall clock by which every file has been at rest for long."""
    return time.time() + 2 * SETTLED_SECONDS


def keeping(directory: Path, cache: ChunkCache) -> Recording:
    recording = Recording(directory)
    recording._chunks = cache
    recording._tiers = [TierReader(directory, tier, cache) for tier in TIERS]
    return recording


def plain(directory: Path) -> Recording:
    recording = Recording(directory)
    recording._chunks = ChunkCache(wall_clock=lambda: 0.0)
    recording._tiers = [TierReader(directory, tier) for tier in TIERS]
    return recording


def answers(recording: Recording, until: float) -> list[History]:
    asked = [(until - 90, until), (until - 900, until), (until - 900, until - 300), (until - HOUR, until)]
    return [recording.history(since, to, pid=pid, points=50) for since, to in asked for pid in (None, PID)]


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(1, 300)),
        st.tuples(st.just("pause"), st.integers(1, 900)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("damage"), st.integers(100, 100_000)),
        st.tuples(st.just("delete"), st.integers(0, 3)),
    ),
    max_size=8,
)


@given(ACTIONS)
@example([("record", 3), ("restart", 0), ("pause", 291), ("record", 7), ("restart", 0)])
@settings(max_examples=20)
def test_what_is_kept_is_what_would_be_read(actions: list[tuple[str, int]]) -> None:
    """Chunks, and answers made of them."""
    now = START
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        kept = keeping(directory, ChunkCache(wall_clock=settled))
        store = Store(directory)
        for action, number in actions:
            match action:
                case "record":
                    for one in series(now, number, interval=5.0):
                        store.append(one)
                    now += number
                case "pause":
                    now += number
                case "restart":
                    store.close()
                    store = Store(directory)
                case "damage":
                    for chunk in chunk_files(directory, FULL.name)[:-1]:
                        flip(chunk.path, number)
                case _:
                    for chunk in chunk_files(directory, FULL.name)[:-1][:number]:
                        chunk.delete()
            time.sleep(TICK_SECONDS)
            read = answers(plain(directory), now)
            for _ in range(2):  # the second finds what the first has read
                assert answers(kept, now) == read
        store.close()


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 0xFF
    path.write_bytes(data)


def test_a_chunk_at_rest_is_read_once(tmp_path: Path) -> None:
    record(tmp_path, *series(START, 1500, interval=5.0))
    cache = ChunkCache(wall_clock=settled)
    kept = keeping(tmp_path, cache)
    paths = [chunk.path for chunk in chunk_files(tmp_path, FULL.name)]
    kept.history(START, START + 1500, points=150)
    read = [cache.find(path) for path in paths]
    assert all(found is not None and found.runs for found in read)
    kept.history(START, START + 1500, points=140)
    assert all(cache.find(path) is found for path, found in zip(paths, read, strict=True))


def test_a_file_that_has_just_changed_is_not_kept(tmp_path: Path) -> None:
    record(tmp_path, *series(START, 30, interval=5.0))
    cache = ChunkCache(wall_clock=lambda: time.time() - HOUR)
    answers(keeping(tmp_path, cache), START + 30)
    (chunk,) = chunk_files(tmp_path, FULL.name)
    assert cache.version(chunk.path) is None
    assert cache.find(chunk.path) is None


def test_damage_is_counted_by_every_question(tmp_path: Path) -> None:
    record(tmp_path, *series(START, 700, interval=5.0))
    finished = chunk_files(tmp_path, FULL.name)[0]
    finished.path.write_bytes(finished.path.read_bytes()[:4096])
    kept = keeping(tmp_path, ChunkCache(wall_clock=settled))
    answers(kept, START + 700)
    once = kept.damaged
    answers(kept, START + 700)
    assert 0 < once < kept.damaged


def test_what_is_unused_is_forgotten(tmp_path: Path) -> None:
    record(tmp_path, *series(START, 1500, interval=5.0))
    clock = Clock()
    cache = ChunkCache(clock, settled)
    kept = keeping(tmp_path, cache)
    answers(kept, START + 1500)
    oldest, *_, newest = chunk_files(tmp_path, FULL.name)
    assert cache.find(oldest.path) is not None
    clock.now += chunk_cache.UNUSED_SECONDS_MAX + 1
    read = cache.find(newest.path)
    assert read is not None
    cache.keep(newest.path, read)
    assert cache.find(oldest.path) is None


def test_it_holds_no_more_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, *series(START, 1900, interval=5.0))
    paths = [chunk.path for chunk in chunk_files(tmp_path, FULL.name)]
    whole = ChunkCache(wall_clock=settled)
    found = answers(keeping(tmp_path, whole), START + 1900)
    monkeypatch.setattr(chunk_cache, "BYTES_MAX", whole.bytes_max // 2)
    cache = ChunkCache(wall_clock=settled)
    assert answers(keeping(tmp_path, cache), START + 1900) == found
    assert 0 < cache.bytes_max <= whole.bytes_max // 2
    assert 0 < sum(cache.find(path) is not None for path in paths) < len(paths)
