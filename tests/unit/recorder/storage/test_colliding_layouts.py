"""A checksum does not tell layouts apart: names of programs can be chosen so that two have the same."""

import math
import sqlite3
from array import array
from contextlib import closing
from pathlib import Path

import pytest

from blackbox.recorder.query.history import HistoryQuery, history
from blackbox.recorder.storage import layout as layouts
from blackbox.recorder.storage.chunk_reader import NEVER, ChunkReader
from blackbox.recorder.storage.chunk_writer import ChunkWriter
from blackbox.recorder.storage.compression import DamageError
from blackbox.recorder.storage.directory import chunk_file
from blackbox.recorder.storage.frames import Frame, to_bytes
from blackbox.recorder.storage.layout import FIRST_METRICS, Layout
from blackbox.recorder.storage.rows import layout_id
from blackbox.recorder.storage.subjects import MACHINE, Subject
from blackbox.recorder.storage.tier_reader import TierReader
from blackbox.recorder.storage.tiers import TIERS
from tests.colliding import names_for
from tests.recorded_moments import moment_at

START = 1_800_000_000.0
HERS, HIS = 41_001, 41_002
WIDTH = len(FIRST_METRICS["machine"]) + 2 * len(FIRST_METRICS["process"])


def layout_of(pids: tuple[int, int], uid: int, names: tuple[str, str] = ("a" * 15, "a" * 15)) -> Layout:
    processes = [
        Subject("process", gpu_uuid="GPU-0", pid=pid, start_time=1.5, gpu=0, name=name, uid=uid)
        for pid, name in zip(pids, names, strict=True)
    ]
    return Layout((MACHINE, *processes), FIRST_METRICS)


def his_beside(hers: Layout, pids: tuple[int, int] = (3, 4)) -> Layout:
    """One of his programs, under names that give it the checksum of hers."""
    found = layout_of(pids, HIS, names_for(hers.checksum, lambda *names: layout_of(pids, HIS, names).body))
    assert found.checksum == hers.checksum
    assert found.body != hers.body
    return found


def append(writer: ChunkWriter, second: int, layout: Layout) -> None:
    time = START + second
    values = [100.0 * second + place for place in range(WIDTH)]
    writer.append(time, layout, values, Frame(time, to_bytes(moment_at(time, 1))), synced=False)


def told(path: Path) -> dict[tuple[float, int | None], tuple[int | None, str | None, float]]:
    """(Time, pid) -> whose it is, how it is called, and its first number."""
    found: dict[tuple[float, int | None], tuple[int | None, str | None, float]] = {}
    with ChunkReader(path) as reader:
        for run in reader.runs(*NEVER):
            for place, (subject, metric) in enumerate(run.layout.keys):
                if metric.key != "used_bytes":
                    continue
                for time, value in zip(run.times, run.column(place), strict=True):
                    if not math.isnan(value):
                        found[time, subject.pid] = subject.uid, subject.name, value
        assert reader.damaged == 0
    return found


def expected(written: list[Layout]) -> dict[tuple[float, int | None], tuple[int | None, str | None, float]]:
    return {
        (START + second, key.subject.pid): (key.subject.uid, key.subject.name, 100.0 * second + place)
        for second, layout in enumerate(written)
        for place, key in enumerate(layout.keys)
        if key.metric.key == "used_bytes"
    }


@pytest.mark.fault(69)
def test_row_69_rows_are_read_under_their_own_names_whatever_others_call_their_programs(tmp_path: Path) -> None:
    path, hers = tmp_path / "chunk.db", layout_of((1, 2), HERS)
    his, third = his_beside(hers), his_beside(hers, (5, 6))
    written = [hers, his, hers, third, his, third]
    for second, layout in enumerate(written[:3]):
        with closing(ChunkWriter(path, 1)) as writer:  # gone on with each time, as after a kill
            append(writer, second, layout)
    writer = ChunkWriter(path, 1)
    for second, layout in enumerate(written[3:], 3):
        append(writer, second, layout)
    assert told(path) == expected(written)
    writer.finish()
    assert told(path) == expected(written), "packed"


@pytest.mark.fault(69)
@pytest.mark.parametrize("packed", [False, True])
def test_row_69_blocks_of_one_layout_each_are_told_apart(tmp_path: Path, packed: bool) -> None:
    path, hers = tmp_path / "chunk.db", layout_of((1, 2), HERS)
    his = his_beside(hers)
    writer = ChunkWriter(path, 1)
    for second, layout in enumerate([his, hers]):
        append(writer, second, layout)
        if packed:
            writer.pack_tail()
    assert told(path) == expected([his, hers])
    writer.finish()


@pytest.mark.fault(69)
def test_row_69_who_asks_for_his_own_is_not_told_hers_across_chunks(tmp_path: Path) -> None:
    hers = layout_of((1, 2), HERS)
    for number, layout in enumerate((his_beside(hers), hers)):
        writer = ChunkWriter(chunk_file(tmp_path, TIERS[0].name, START, number).path, 1)
        append(writer, number, layout)
        writer.finish()
    query = HistoryQuery.checked(START, START + 9, None, None, ["reserved_bytes"], HIS)
    found = history([TierReader(tmp_path, TIERS[0])], query, 9)
    told_of = {(one.pid, time) for one in found.series for time, _, mean, _ in one.points if mean is not None}
    assert told_of == {(3, START), (4, START)}


def test_the_first_layout_with_a_checksum_is_named_as_in_recordings_of_before(tmp_path: Path) -> None:
    path, hers = tmp_path / "chunk.db", layout_of((1, 2), HERS)
    with closing(ChunkWriter(path, 1)) as writer:
        for second, layout in enumerate((hers, his_beside(hers))):
            append(writer, second, layout)
    with closing(sqlite3.connect(path)) as database:
        ids = [number for (number,) in database.execute("SELECT id FROM layout ORDER BY id")]
    assert ids == [hers.checksum, hers.checksum + (1 << layouts.CHECKSUM_BITS)]


def test_a_layout_that_is_damaged_is_stored_anew(tmp_path: Path) -> None:
    path, layout = tmp_path / "chunk.db", layout_of((1, 2), HERS)
    with closing(ChunkWriter(path, 1)) as writer:
        append(writer, 0, layout)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE layout SET body = x'00'")
        database.commit()
    with closing(ChunkWriter(path, 1)) as writer:
        append(writer, 1, layout)
    with ChunkReader(path) as reader:
        assert [run.times for run in reader.runs(*NEVER)] == [[START + 1]]
        assert reader.damaged == 1


@pytest.mark.parametrize("stored", [-1.0, 0.5, 2.0**layouts.ID_BITS, 1e300, math.inf, math.nan])
def test_an_impossible_id_names_no_layout(stored: float) -> None:
    with pytest.raises(DamageError):
        layout_id(array("d", [stored])[0])
