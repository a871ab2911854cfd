"""Chunks: what was appended is read, sealed or not, whole or damaged."""

import contextlib
import math
import shutil
import sqlite3
import tempfile
import weakref
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox.recorder.storage import chunk_writer, database, joining
from blackbox.recorder.storage.chunk_reader import NEVER, ChunkReader
from blackbox.recorder.storage.chunk_writer import ChunkWriter
from blackbox.recorder.storage.compression import signed
from blackbox.recorder.storage.frames import Frame, pack_frames, to_bytes, unpack_frames
from blackbox.recorder.storage.layout import Layout
from blackbox.recorder.storage.subjects import Subject
from tests.chunks import (
    METRICS_EACH,
    START,
    append,
    frames_in,
    small_chunk,
    used,
    writer_of,
)
from tests.recorded_moments import INTERVAL, moment_at, series

ONE, TWO = Subject("process", gpu_uuid="GPU-0", pid=1), Subject("process", gpu_uuid="GPU-0", pid=2)


@pytest.mark.parametrize("sealed", [False, True], ids=["tail", "block"])
def test_what_was_appended_is_read(tmp_path: Path, sealed: bool) -> None:
    path = tmp_path / "chunk.db"
    with writer_of(path) as writer:
        frames = append(writer, 20, blocks=True)
        if sealed:
            writer.pack_tail()
        assert frames_in(path) == frames
        expected = {one.timestamp: float(one.samples[0].processes[0].used_bytes or 0) for one in series(START, 20)}
        assert used(path) == expected


@settings(max_examples=25)
@given(parts=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3), st.booleans()), max_size=5))
def test_moments_come_in_the_order_of_time_however_the_clock_was_set(parts: list[tuple[int, int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder, writer_of(Path(folder, "chunk.db")) as writer:
        expected: list[Frame] = []
        for since, seconds, packed in parts:
            expected += append(writer, seconds, since=START + since)
            if packed:
                writer.pack_tail()
        with ChunkReader(Path(folder, "chunk.db")) as reader:
            found = [(frame.time, bytes(frame.body)) for frame in reader.frames(*NEVER)]
    assert [time for time, _ in found] == sorted(frame.time for frame in expected)
    assert sorted(found) == sorted((frame.time, bytes(frame.body)) for frame in expected)


def test_one_block_is_unpacked_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[int] = []

    def unpack(blob: object, *within: float) -> list[Frame]:
        unpacked.append(1)
        return unpack_frames(blob, *within)

    monkeypatch.setattr("blackbox.recorder.storage.chunk_reader.unpack_frames", unpack)
    with writer_of(tmp_path / "chunk.db") as writer:
        for block in range(4):
            append(writer, 2, since=START + 2 * block)
            writer.pack_tail()
        with ChunkReader(tmp_path / "chunk.db") as reader:
            seen = [len(unpacked) for _ in reader.frames(*NEVER)]
    assert seen == [2] * 4 + [3] * 4 + [4] * 8, "a block is given out once the next one shows where it begins"


def test_a_reader_sees_what_is_committed_while_it_is_written(tmp_path: Path) -> None:
    with writer_of(tmp_path / "chunk.db") as writer:
        append(writer, 5)
        with ChunkReader(tmp_path / "chunk.db") as reader:
            before = list(reader.frames(*NEVER))
            writer.pack_tail()
            append(writer, 5, since=START + 5)
            assert list(reader.frames(*NEVER)) == before, "one reader sees one state"
        assert len(frames_in(tmp_path / "chunk.db")) == 20


def test_a_finished_chunk_is_one_file_and_smaller(tmp_path: Path) -> None:
    writer = ChunkWriter(tmp_path / "chunk.db", 1)
    frames = append(writer, 60)
    writer.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["chunk.db"]
    assert frames_in(tmp_path / "chunk.db") == frames


def series_in(path: Path) -> list[tuple[str, str, float, float]]:
    """Every number, by whose and which it is."""
    with ChunkReader(path) as reader:
        found = [
            (repr(subject), metric.key, time, value)
            for run in reader.runs(*NEVER)
            for place, (subject, metric) in enumerate(run.layout.keys)
            for time, value in zip(run.times, run.column(place), strict=True)
            if not math.isnan(value)
        ]
        assert reader.damaged == 0
    return sorted(found)


LIVES = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.booleans()), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(LIVES, st.integers(1, 400))
def test_a_finished_chunk_tells_what_it_told(lives: list[tuple[int, int, bool]], numbers_max: int) -> None:
    """Whoever came and went in it, and however much is joined at once."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "NUMBERS_MAX", numbers_max)
        path, time = Path(folder, "chunk.db"), START
        writer = ChunkWriter(path, 1)
        for first, rows, packed in lives:
            layout = Layout(tuple(Subject("process", gpu_uuid="GPU-0", pid=pid) for pid in range(first, first + 2)))
            for _ in range(rows):
                values = [time % 7 + place % 3 / 4 if (time + place) % 5 else math.nan for place in range(layout.width)]
                writer.append(time, layout, values, Frame(time, to_bytes(moment_at(time, 1))), synced=False)
                time += INTERVAL
            if packed:
                writer.pack_tail()
        before, frames = series_in(path), frames_in(path)
        with ChunkReader(path) as reader:
            newest = [reader.newest_frame(START + second) for second in range(-1, 20)]
        writer.finish()
        assert (series_in(path), frames_in(path)) == (before, frames)
        with ChunkReader(path) as reader:
            assert [reader.newest_frame(START + second) for second in range(-1, 20)] == newest
            times = [run.times[0] for run in reader.runs(*NEVER)]
        assert times == sorted(times), "the oldest rows first"
        ChunkWriter(path, 1).finish()
        assert series_in(path) == before, "joined once"


def test_rows_of_a_finished_chunk_are_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "chunk.db"
    small_chunk(path)
    expected = used(path)
    with ChunkReader(path) as reader:
        assert len(list(reader.runs(*NEVER))) == 7
    ChunkWriter(path, 1).finish()
    with ChunkReader(path) as reader:
        assert len(list(reader.runs(*NEVER))) == 1
        assert len(list(reader.runs(START + 12, START + 13))) == 1
    assert used(path) == expected


def test_a_damaged_block_is_not_joined(tmp_path: Path) -> None:
    path = tmp_path / "chunk.db"
    small_chunk(path)
    expected = used(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE block SET rows = ? WHERE id = 3", (b"damaged",))
        database.commit()
    ChunkWriter(path, 1).finish()
    with ChunkReader(path) as reader:
        times = {time for run in reader.runs(*NEVER) for time in run.times}
        assert times == {time for time in expected if not 10 <= time - START < 15}
        assert reader.damaged == 1


def test_joined_rows_that_are_gone_are_missed(tmp_path: Path) -> None:
    path = tmp_path / "chunk.db"
    small_chunk(path)
    ChunkWriter(path, 1).finish()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM joined")
        database.commit()
    with ChunkReader(path) as reader:
        assert list(reader.runs(*NEVER)) == []
        assert reader.damaged == 1


def test_a_reader_at_work_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    path = tmp_path / "chunk.db"
    writer = ChunkWriter(path, 1)
    frames = append(writer, 5)
    with ChunkReader(path) as reader:
        assert list(reader.frames(*NEVER)) == frames
        writer.finish()
        assert list(reader.frames(*NEVER)) == frames
    assert frames_in(path) == frames


def test_going_on_with_a_chunk_keeps_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "chunk.db"
    frames: list[Frame] = []
    for number in range(4):
        with writer_of(path) as writer:
            frames += append(writer, 3, since=START + 3 * number)
            if number == 2:
                writer.pack_tail()
    assert frames_in(path) == frames


def test_rows_of_several_layouts_are_sealed_into_one_block(tmp_path: Path) -> None:
    path = tmp_path / "chunk.db"
    frame = Frame(START, to_bytes(moment_at(START, 1)))
    rest = [math.nan] * (METRICS_EACH - 1)
    with writer_of(path) as writer:
        writer.append(START, Layout((ONE,)), [1.0, *rest], frame, synced=False)
        writer.append(START + 1, Layout((ONE, TWO)), [2.0, *rest, 5.0, *rest[1:], 7.0], frame, synced=False)
        writer.pack_tail()
    with ChunkReader(path) as reader:
        (run,) = reader.runs(*NEVER)
    assert run.layout.subjects == (ONE, TWO)
    assert run.times == [START, START + 1]
    assert run.column(0) == [1.0, 2.0]
    assert math.isnan(run.column(METRICS_EACH)[0])
    assert run.column(2 * METRICS_EACH - 1)[1] == 7.0


def test_many_blocks_of_memory_make_shorter_blocks_of_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with writer_of(tmp_path / "chunk.db") as writer:
        frames = append(writer, 1)
        monkeypatch.setattr(chunk_writer, "BLOCK_BYTES_MAX", sum(len(frame.body) for frame in frames))
        assert writer.is_full_block
        writer.pack_tail()
        assert not writer.is_full_block


def test_processes_that_come_and_go_make_shorter_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No block names more subjects than the limit, but for those of its last row; a layout that stays counts once."""
    monkeypatch.setattr(chunk_writer, "BLOCK_SUBJECTS_MAX", 10)
    values, frame = [1.0] * (4 * METRICS_EACH), Frame(START, to_bytes(moment_at(START, 1)))
    with writer_of(tmp_path / "chunk.db") as writer:
        for row in range(3):
            assert not writer.is_full_block
            subjects = tuple(Subject("process", gpu_uuid="GPU-0", pid=4 * row + pid) for pid in range(4))
            writer.append(START + row, Layout(subjects), values, frame, synced=False)
        assert writer.is_full_block
        writer.pack_tail()
        many = Layout(tuple(Subject("process", gpu_uuid="GPU-1", pid=pid) for pid in range(40)))
        for row in range(3, 6):
            writer.append(START + row, many, [1.0] * (40 * METRICS_EACH), frame, synced=False)
            assert not writer.is_full_block


def test_a_layout_is_not_kept_for_the_row_after_it(tmp_path: Path) -> None:
    """That of an hour in which thousands of processes came and went takes megabytes."""
    layout = Layout((ONE,))
    with writer_of(tmp_path / "chunk.db") as writer:
        frame = Frame(START, to_bytes(moment_at(START, 1)))
        writer.append(START, layout, [1.0] * METRICS_EACH, frame, synced=False)
        kept = weakref.ref(layout)
        del layout
        assert kept() is None
        writer.append(START + 1, Layout((ONE,)), [2.0] * METRICS_EACH, frame, synced=False)
    assert used(tmp_path / "chunk.db") == {START: 1.0, START + 1: 2.0}


def test_the_newest_frame_by_a_time(tmp_path: Path) -> None:
    path = tmp_path / "chunk.db"
    with writer_of(path) as writer:
        frames = append(writer, 10)
        writer.pack_tail()
        frames += append(writer, 10, since=START + 10)
    with ChunkReader(path) as reader:
        assert reader.newest_frame(START - 1) is None
        assert reader.newest_frame(START) == frames[0]
        assert reader.newest_frame(START + 9.9) == frames[19]
        assert reader.newest_frame(START + 10.2) == frames[20]
        assert reader.newest_frame(START + 1000) == frames[-1]


def as_written_by(version: int, path: Path) -> None:
    """Makes a chunk one of an older version."""
    with contextlib.closing(sqlite3.connect(path)) as older:
        blocks, tail = (older.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("block", "tail"))
        for number, frames in older.execute("SELECT id, frames FROM block").fetchall():
            older.execute("UPDATE block SET frames = ? WHERE id = ?", (pack_frames(unpack_frames(frames)), number))
        older.execute("UPDATE mark SET body = ?", (signed(msgspec.msgpack.encode([blocks, tail])),))
        older.commit()
        older.executescript(f"""
            DROP TABLE joined;
            CREATE TABLE older (
                id INTEGER PRIMARY KEY, since REAL NOT NULL, until REAL NOT NULL,
                frames BLOB NOT NULL, rows BLOB NOT NULL
            );
            INSERT INTO older SELECT id, since, until, frames, rows FROM block;
            DROP TABLE block;
            ALTER TABLE older RENAME TO block;
            {"DROP TABLE mark;" if version == 1 else ""}
            PRAGMA user_version = {version}""")


@pytest.mark.parametrize("version", [1, 2])
def test_a_chunk_of_an_older_version_is_read_and_gone_on_with(version: int, tmp_path: Path) -> None:
    path = tmp_path / "chunk.db"
    frames = small_chunk(path)
    expected = used(path)
    as_written_by(version, path)
    with ChunkReader(path) as reader:
        assert (sorted(reader.frames(*NEVER)), reader.damaged) == (frames, 0)
    assert used(path) == expected
    with writer_of(path) as writer:
        frames += append(writer, 5, since=START + 35)
    with ChunkReader(path) as reader:
        assert (sorted(reader.frames(*NEVER)), reader.damaged) == (frames, 0)
    gone_on = used(path)
    assert len(gone_on) == len(frames)
    finished = tmp_path / "finished.db"
    shutil.copy(path, finished)
    ChunkWriter(finished, 1).finish()
    with ChunkReader(finished) as reader:
        assert len(list(reader.runs(*NEVER))) == 1
        assert (sorted(reader.frames(*NEVER)), reader.damaged) == (frames, 0)
    assert used(finished) == gone_on
    with contextlib.closing(sqlite3.connect(path)) as younger:
        younger.execute("DELETE FROM tail WHERE id = (SELECT max(id) FROM tail)")
        younger.commit()
    with ChunkReader(path) as reader:
        assert reader.damaged == 1
