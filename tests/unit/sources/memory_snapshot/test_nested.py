"""Snapshots inside what programs put them in: each tells what the bare one tells; of several the one in question."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blackbox.errors import FailureError
from blackbox.report.comparison import NOTHING_KNOWN, compare_files, compare_ranks
from blackbox.report.snapshot_file import of_snapshot_file
from blackbox.sources.memory_snapshot import read
from blackbox.sources.memory_snapshot.moment import moment_of
from blackbox.sources.memory_snapshot.nested import NAME_CHARS_MAX, snapshots_in
from blackbox.sources.memory_snapshot.playback import moments_of_file
from blackbox.sources.memory_snapshot.unpickle import plain_data
from tests.caching_allocator import MIB, CachingAllocator, RefusedError
from tests.host_allocator import HostAllocator

FRAMES = [{"name": "forward", "filename": "/src/model.py", "line": 3}]


def of_rank(held: int, refused: int = 0) -> dict[str, Any]:
    memory = CachingAllocator(200 * MIB)
    kept = [memory.alloc(held * MIB, frames=FRAMES), memory.alloc(2 * MIB, frames=FRAMES)]
    if refused:
        with pytest.raises(RefusedError):
            memory.alloc(refused * MIB, frames=FRAMES)
    memory.free(kept[1], frames=FRAMES)
    return memory.snapshot((2, 12))


PLACES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "with what else is known": (lambda snapshot: {"rank": 0, "config": {"lr": 0.1}, "snapshot": snapshot}, "snapshot"),
    "a list of one": (lambda snapshot: [snapshot], "0"),
    "by device": (lambda snapshot: {"cuda:0": snapshot}, "cuda:0"),
    "in a tuple, deeper": (lambda snapshot: ({"step": 7}, {"memory": {"dump": snapshot}}), "1.memory.dump"),
    "a pickle in a pickle": (lambda snapshot: {"rank": 3, "data": pickle.dumps(snapshot)}, "data"),
    "a pickle of bytes": (pickle.dumps, ""),
}


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("way", PLACES)
def test_it_tells_what_the_bare_one_tells(way: str, protocol: int, tmp_path: Path) -> None:
    bare, nested = tmp_path / "bare.pickle", tmp_path / "nested.pickle"
    bare.write_bytes(pickle.dumps(of_rank(50, refused=190)))
    put, place = PLACES[way]
    nested.write_bytes(pickle.dumps(put(of_rank(50, refused=190)), protocol))
    found = read(nested, "traces")
    assert found.place == place
    assert found.sample == read(bare, "traces").sample
    assert found.replayed == read(bare, "traces").replayed


def ranks() -> dict[str, Any]:
    return {"rank10": of_rank(120), "rank2": of_rank(80, refused=150), "rank1": of_rank(60)}


@pytest.mark.parametrize("parts", ["end", "figures", "traces"])
def test_of_several_the_last_refused_is_told_else_the_largest(parts: Any, tmp_path: Path) -> None:
    path = tmp_path / "all.pickle"
    path.write_bytes(pickle.dumps(ranks()))
    found = read(path, parts)
    assert found.place == ("rank10" if parts == "end" else "rank2")
    assert len(found.beside) == 2
    path.write_bytes(pickle.dumps([of_rank(10), of_rank(30), of_rank(20)]))
    assert read(path, parts).place == "1"
    moments = list(moments_of_file(path))
    assert max(moment.samples[0].allocators[0].allocated_bytes or 0 for moment in moments) == 32 * MIB
    assert {tuple(moment.sources[0].facts.items()) for moment in moments} == {
        (("file", "all.pickle"), ("snapshot", "1"), ("snapshots", "3"))
    }


def test_each_of_many_pickles_in_a_pickle_is_found() -> None:
    def snapshot(rank: int) -> dict[str, Any]:
        return {"segments": [{"device": 0, "address": rank << 21, "total_size": 1 << 21, "blocks": []}]}

    gathered = [pickle.dumps({"rank": rank, "snapshot": snapshot(rank)}) for rank in range(8)]
    found = snapshots_in(gathered, plain_data)
    assert [one.place for one in found] == [f"{rank}.snapshot" for rank in range(8)]
    assert [one.snapshot["segments"][0]["address"] >> 21 for one in found] == list(range(8))


def test_an_import_of_several_says_which_it_is_of(tmp_path: Path) -> None:
    path = tmp_path / "all.pickle"
    path.write_bytes(pickle.dumps(ranks()))
    (status,) = moment_of(path, read(path)).sources
    assert status.facts == {"file": "all.pickle", "snapshot": "rank10", "snapshots": "3"}


def test_bare_segments_are_played_too(tmp_path: Path) -> None:
    path = tmp_path / "old.pickle"
    path.write_bytes(pickle.dumps({"rank0": of_rank(30)["segments"]}))
    assert [moment.samples[0].allocators[0].allocated_bytes for moment in moments_of_file(path)] == [30 * MIB]


def test_keys_that_read_alike_are_two_snapshots(tmp_path: Path) -> None:
    path = tmp_path / "all.pickle"
    path.write_bytes(pickle.dumps({"1": of_rank(10), 1: of_rank(30)}))
    assert max(moment.samples[0].allocators[0].allocated_bytes or 0 for moment in moments_of_file(path)) == 32 * MIB


def test_a_key_is_short_and_commands_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "all.pickle"
    path.write_bytes(pickle.dumps({"\x1b[31m\n": of_rank(10), "1" * 5000: of_rank(20)}))
    names = {row.file.removeprefix("all.pickle ") for row in compare_ranks([path]).rows}
    assert names == {"?[31m?", "1" * NAME_CHARS_MAX}


@pytest.mark.parametrize("held", [10, 150])
def test_a_rank_with_a_malformed_history_is_named_and_costs_the_others_nothing(held: int, tmp_path: Path) -> None:
    path = tmp_path / "all.pickle"
    broken = of_rank(held) | {"device_traces": [[{"action": "alloc", "addr": "nowhere"}]]}
    path.write_bytes(pickle.dumps({"rank0": of_rank(60), "rank1": broken, "rank2": of_rank(80)}))
    table = compare_ranks([path])
    assert [row.file for row in table.rows] == ["all.pickle rank0", "all.pickle rank2"]
    assert [(one.file, one.reason) for one in table.unread] == [("all.pickle rank1", NOTHING_KNOWN)]


def test_pinned_memory_of_the_host_is_no_gpu_of_a_rank(tmp_path: Path) -> None:
    host = HostAllocator()
    host.alloc(5 * MIB)
    host.alloc(5 * MIB)
    for number, size in enumerate((60, 80)):
        (tmp_path / f"rank{number}.pickle").write_bytes(pickle.dumps(of_rank(size) | host.keys()))
    table = compare_ranks(sorted(tmp_path.iterdir()))
    assert [(row.file, row.gpu) for row in table.rows] == [("rank0.pickle", 0), ("rank1.pickle", 0)]
    assert table.lowest.file == "rank0.pickle"


def test_a_note_on_one_of_several_devices_names_it(tmp_path: Path) -> None:
    host, path = HostAllocator(), tmp_path / "one.pickle"
    host.alloc(5 * MIB)
    path.write_bytes(pickle.dumps(of_rank(60) | host.keys() | {"host_traces": host.entries[-1:]}))
    found = compare_files(path, path)
    assert "A: the host, pinned: no usable history: the file holds the end, and no steps that led to it" in found.notes


def test_a_comparison_names_the_snapshot_that_it_took_of_several(tmp_path: Path) -> None:
    several, bare = tmp_path / "all.pickle", tmp_path / "bare.pickle"
    several.write_bytes(pickle.dumps(ranks()))
    bare.write_bytes(pickle.dumps(of_rank(80)))
    found = compare_files(bare, several)
    assert found.notes[0] == "B: the file holds 3 snapshots: this one is rank2"


def test_a_report_of_several_names_the_one_and_the_others(tmp_path: Path) -> None:
    path = tmp_path / "all.pickle"
    path.write_bytes(pickle.dumps(ranks()))
    notes = " ".join(of_snapshot_file(path).notes)
    assert "the file holds 3 snapshots: this one is rank2" in notes
    assert "of the others rank10 held most, 122.0 MiB at its peak" in notes


def test_all_of_one_file_are_rows_of_one_table_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "all.pickle"
    path.write_bytes(pickle.dumps(ranks()))
    table = compare_ranks([path])
    assert [row.file for row in table.rows] == ["all.pickle rank1", "all.pickle rank2", "all.pickle rank10"]
    assert [row.peak_bytes for row in table.rows] == [62 * MIB, 82 * MIB, 122 * MIB]
    assert table.first_refused is not None
    assert table.first_refused.file == "all.pickle rank2"


def test_a_file_without_any_is_refused_as_before(tmp_path: Path) -> None:
    path = tmp_path / "none.pickle"
    path.write_bytes(pickle.dumps({"rank": 1, "snapshot": {"segments": 3}}))
    with pytest.raises(FailureError, match="it has no list of segments"):
        read(path)


def test_what_refers_to_itself_a_thousand_times_is_looked_at_once() -> None:
    nest: list[Any] = [{}]
    for _ in range(6):
        nest = [nest] * 1000
    assert [one.place for one in snapshots_in(nest, plain_data)] == [""]
