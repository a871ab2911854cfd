"""A damaged chunk: what is read is what was written, and every loss is counted."""

import contextlib
import os
import random
import sqlite3
from pathlib import Path

import pytest

from blackbox.recorder.storage.chunk_reader import NEVER, ChunkReader
from blackbox.recorder.storage.chunk_writer import ChunkWriter
from blackbox.recorder.storage.frames import Frame
from tests.chunks import (
    BRANCH_OF_A_TABLE,
    LEAF_OF_A_TABLE,
    SMALL_SECONDS,
    small_chunk,
)
from tests.recorded_moments import INTERVAL


def test_a_file_that_is_none_of_ours_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "chunk.db"
    with contextlib.closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE mine (x)")
    with pytest.raises(sqlite3.DatabaseError):
        ChunkWriter(path, 1)
    with ChunkReader(path) as reader:
        assert list(reader.frames(*NEVER)) == []
        assert reader.damaged == 1
    with contextlib.closing(sqlite3.connect(path)) as foreign:
        assert foreign.execute("SELECT count(*) FROM mine").fetchone() == (0,)


ZEROS_STEP, ZEROS_EDGE = 64, 8


def read_damaged(path: Path, frames: list[Frame]) -> int:
    """How many moments are lost; those that are read must be true, and any loss must be counted."""
    with ChunkReader(path) as reader:
        found = list(reader.frames(*NEVER))
        assert set(found) <= set(frames)
        assert len(set(found)) == len(found)
        times = [time for run in reader.runs(*NEVER) for time in run.times]
        assert set(times) <= {frame.time for frame in frames}
        lost = len(frames) - len(found)
        assert not (lost or len(times) < len(frames)) or reader.damaged, "what is lost is counted"
        return lost


def flip(path: Path, place: int, bit: int) -> None:
    with path.open("r+b", buffering=0) as file:
        (byte,) = os.pread(file.fileno(), 1, place)
        os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), place)


def places(chunk: Path, step: int, first: int = 0) -> list[int]:
    """Each `step`-th byte; of stretches of zeros, most of which SQLite has no use for yet, one in `ZEROS_STEP`."""
    content = chunk.read_bytes()
    return [
        place
        for place in range(first, len(content), step)
        if place % ZEROS_STEP < step or any(content[max(0, place - ZEROS_EDGE) : place + ZEROS_EDGE])
    ]


def sweep_flips(tmp_path: Path, step: int, seconds: int = SMALL_SECONDS, *, finished: bool = False) -> None:
    chunk = tmp_path / "chunk.db"
    frames = small_chunk(chunk, seconds)
    if finished:
        ChunkWriter(chunk, 1).finish()
    chance = random.Random(1)
    losses: list[int] = []
    for place in places(chunk, step, chance.randrange(step)):
        bit = chance.randrange(8)
        flip(chunk, place, bit)
        losses.append(read_damaged(chunk, frames))
        flip(chunk, place, bit)
    assert read_damaged(chunk, frames) == 0, "reading changes nothing"
    block, flips = round(seconds / INTERVAL), chunk.stat().st_size / step
    assert sum(loss > block for loss in losses) <= 0.05 * flips, "but for SQLite's own pages, one block at most"
    assert losses.count(0) > 0


def sweep_truncations(tmp_path: Path, step: int, seconds: int = SMALL_SECONDS) -> None:
    chunk = tmp_path / "chunk.db"
    frames = small_chunk(chunk, seconds)
    for length in reversed(places(chunk, step)):
        os.truncate(chunk, length)
        read_damaged(chunk, frames)


def test_a_last_row_that_its_page_does_not_count_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "chunk.db"
    frames = small_chunk(path)
    size, found = 4096, set[str]()
    pages = path.read_bytes()
    for start in range(size, len(pages), size):
        rows = int.from_bytes(pages[start + 3 : start + 5], "big")
        if pages[start] != LEAF_OF_A_TABLE or not rows:
            continue
        damaged = tmp_path / "damaged.db"
        damaged.write_bytes(pages[: start + 3] + (rows - 1).to_bytes(2, "big") + pages[start + 5 :])
        with ChunkReader(damaged) as reader:
            lost = set(frames) - set(reader.frames(*NEVER))
            assert reader.damaged or not lost
        found.add("last of the tail" if lost == set(frames[-1:]) else "block" if len(lost) == 10 else "")
    assert found >= {"last of the tail", "block"}


def test_rows_that_a_damaged_page_leads_to_twice_are_read_once(tmp_path: Path) -> None:
    path = tmp_path / "chunk.db"
    frames = small_chunk(path)
    size, branches = 4096, 0
    pages = path.read_bytes()
    for start in range(size, len(pages), size):
        if pages[start] == BRANCH_OF_A_TABLE:
            first = start + int.from_bytes(pages[start + 12 : start + 14], "big")
            path.write_bytes(pages[: start + 8] + pages[first : first + 4] + pages[start + 12 :])
            assert read_damaged(path, frames) > 0
            branches += 1
    assert branches


@pytest.mark.fault(23)
def test_row_23_a_flipped_byte_costs_what_it_damages_and_no_more(tmp_path: Path) -> None:
    sweep_flips(tmp_path, step=97)


@pytest.mark.fault(23)
def test_row_23_so_it_does_in_a_finished_chunk(tmp_path: Path) -> None:
    sweep_flips(tmp_path, step=97, finished=True)


@pytest.mark.fault(23)
def test_row_23_a_truncated_chunk_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    sweep_truncations(tmp_path, step=211)


@pytest.mark.slow
@pytest.mark.fault(23)
def test_row_23_every_byte_flipped(tmp_path: Path) -> None:
    sweep_flips(tmp_path, step=1, seconds=1)


@pytest.mark.slow
@pytest.mark.fault(23)
def test_row_23_truncated_at_every_offset(tmp_path: Path) -> None:
    sweep_truncations(tmp_path, step=1, seconds=1)
