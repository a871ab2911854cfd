"""The moment that a snapshot's trace is about, and what a report makes of it."""

import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from blackbox.report import build_report, to_html
from blackbox.report.snapshot_file import of_snapshot_file
from blackbox.sources.memory_snapshot.replayed import Told, read_replayed
from tests import genuine
from tests.caching_allocator import MIB as ALLOCATOR_MIB
from tests.caching_allocator import CachingAllocator
from tests.simple_replay import simple_peak
from tests.traced_programs import STACKS

MIB = 1024**2
BASE = 0x7F00_0000_0000


def frame(name: str, line: int, filename: str = "/src/train.py") -> dict[str, Any]:
    return {"name": name, "line": line, "filename": filename}


LEAKING = [frame("at::empty", 0, "??"), frame("forward", 8), frame("<module>", 20)]


def step(
    action: str, address: int, size: int, time_us: int, frames: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    place = {"device_free": address} if action == "oom" else {"addr": address}
    return {"action": action, "size": size, "stream": 0, "time_us": time_us, "frames": frames or [], **place}


def block(address: int, size: int, state: str, frames: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"address": address, "size": size, "requested_size": size, "state": state, "frames": frames or []}


def snapshot(*more: dict[str, Any]) -> dict[str, Any]:
    """A weight from before the history, a leak within it, and a hole of 3 MiB."""
    return {
        "segments": [
            {
                "device": 0,
                "address": BASE,
                "total_size": 20 * MIB,
                "stream": 0,
                "segment_type": "large",
                "blocks": [
                    block(BASE, 12 * MIB, "active_allocated", [frame("build", 3)]),
                    block(BASE + 12 * MIB, 5 * MIB, "active_allocated", LEAKING),
                    block(BASE + 17 * MIB, 3 * MIB, "inactive"),
                ],
            }
        ],
        "device_traces": [[step("alloc", BASE + 12 * MIB, 5 * MIB, 1_800_000_000_000_000, LEAKING), *more]],
    }


OOM = step("oom", MIB, 10 * MIB, 1_800_000_001_000_000)
FREED = ("free_requested", "free_completed")


def told(*more: dict[str, Any]) -> Told:
    found = read_replayed(snapshot(*more))
    assert found is not None
    return found.told


def test_without_a_refusal_it_is_told_of_the_peak() -> None:
    freed = [step(action, BASE + 17 * MIB, 2 * MIB, 1_800_000_000_000_100) for action in ("alloc", *FREED)]
    found = told(*freed)
    assert (found.kind, found.steps, found.time) == ("peak", 2, 1_800_000_000.0001)
    assert found.allocator.allocated_bytes == 20 * MIB, "what is left of 3 MiB is too little to be split off"
    assert (found.recent_bytes, found.freed_bytes) == (8 * MIB, 0)
    assert found.levels[-1] == (1_800_000_000.0001, 20 * MIB)


def test_a_refusal_it_recovered_from_is_told_all_the_same() -> None:
    found = told(OOM, step("alloc", BASE + 17 * MIB, MIB, 1_800_000_002_000_000))
    assert (found.kind, found.allocator.allocated_bytes) == ("refusal", 17 * MIB)


def test_the_last_of_many_refusals_is_told_and_the_others_counted() -> None:
    found = told(OOM, OOM | {"size": 9 * MIB}, OOM | {"size": 8 * MIB})
    assert "2 requests were refused before this one" in found.notes


def test_a_file_without_a_history_is_told_of_its_end() -> None:
    found = read_replayed(snapshot() | {"device_traces": [[]]})
    assert found is not None
    assert (found.told.kind, found.told.steps) == ("end", 0)
    assert "no usable history: the file holds the end, and no steps that led to it" in found.told.notes
    (found_end,) = (read_replayed({"segments": snapshot()["segments"]}),)
    assert found_end is not None
    assert found_end.told.notes[0].startswith("this file cannot have a trace")
    assert read_replayed({"segments": []}) is None


def test_every_moment_has_blocks_that_fill_what_was_reserved() -> None:
    for found in (told(), told(OOM), told(*[step("alloc", BASE + 17 * MIB, MIB, 1_800_000_000_000_100)])):
        blocks = found.allocator.blocks or ()
        assert sum(block.size for block in blocks) == found.allocator.reserved_bytes
        active = sum(block.size for block in blocks if block.state == "active")
        assert active == found.allocator.allocated_bytes


def test_a_dumped_failure_is_reported_like_one_that_blackbox_saw(tmp_path: Path) -> None:
    path = tmp_path / "x.pickle"
    path.write_bytes(pickle.dumps(snapshot(OOM)))
    report = build_report(of_snapshot_file(path))
    assert report.title == "The recorded process ran out of memory: it asked for 10.0 MiB"
    assert report.cause == "shortage"
    assert report.cache is not None
    assert report.cache.largest_hole_bytes == 3 * MIB
    assert report.growth is not None
    assert [(share.bytes, share.frames[0]) for share in report.growth.shares] == [
        (12 * MIB, "/src/train.py:3 build"),
        (5 * MIB, "/src/train.py:8 forward"),
    ]
    assert (report.growth.live_bytes, report.growth.recent_bytes) == (17 * MIB, 5 * MIB)


def test_a_malformed_history_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.pickle"
    path.write_bytes(pickle.dumps(snapshot() | {"device_traces": [[{"action": "alloc"}]]}))
    report = build_report(of_snapshot_file(path))
    assert report.growth is not None
    assert report.growth.steps == 0, "the stacks of the blocks are there all the same"
    assert report.cache is not None
    assert report.cache.reserved_bytes == 20 * MIB


def test_a_history_of_more_memory_than_can_be_counted_costs_only_itself(tmp_path: Path) -> None:
    path, most = tmp_path / "x.pickle", (1 << 63) - 1
    path.write_bytes(pickle.dumps(snapshot(step("segment_free", most, most, 1_800_000_000_000_100))))
    report = build_report(of_snapshot_file(path))
    assert report.cache is not None
    assert report.cache.reserved_bytes == 20 * MIB


RECORDED = Path(__file__).parents[3] / "recorded/h200-580.159.04/torch-snapshot.pickle"
TOLERANCE = 0.0005
"""By which a peak may differ from that of an independent replay."""


def check_against_a_second_replay(written: dict[str, Any]) -> None:
    found = read_replayed(written)
    assert found is not None
    for device in found.devices:
        peak = device.peak
        other = simple_peak(written, device.gpu)
        assert peak.bytes == pytest.approx(other.bytes, rel=TOLERANCE)
        assert peak.requested_bytes == pytest.approx(other.requested, rel=TOLERANCE)
        assert peak.bytes <= peak.reserved_bytes
        for shares in (peak.by_category, peak.by_stack, peak.by_pool):
            assert sum(share.bytes for share in shares) == peak.bytes, "exactly"


@pytest.mark.parametrize("name", ["report-cpp-frames-first", "report-expandable-already-on", "report-oom-then-unwound"])
def test_a_case_has_the_peak_of_a_second_replay(name: str) -> None:
    check_against_a_second_replay(pickle.loads(genuine.case(f"{name}/snapshot.pickle").read_bytes()))


def test_a_genuine_file_has_the_peak_of_a_second_replay() -> None:
    sample = genuine.sample("torch-memory-snapshot-user-metadata.pickle")
    check_against_a_second_replay(pickle.loads(sample.read_bytes()))


def test_the_recorded_file_has_the_peak_of_a_second_replay() -> None:
    check_against_a_second_replay(pickle.loads(RECORDED.read_bytes()))


def test_the_second_replay_sees_rests_that_stay_with_their_block() -> None:
    allocator = CachingAllocator()
    first = allocator.alloc(19 * ALLOCATOR_MIB + 512, frames=STACKS[0])
    allocator.free(first, frames=STACKS[0])
    allocator.alloc(19 * ALLOCATOR_MIB + 1024, frames=STACKS[1])
    written = allocator.snapshot((2, 12))
    assert simple_peak(written, 0).bytes == 20 * ALLOCATOR_MIB
    check_against_a_second_replay(written)


def test_a_history_that_contradicts_the_end_altogether_leaves_the_end() -> None:
    written = snapshot(step("alloc", BASE + 17 * MIB, MIB, 1_800_000_001_000_000))
    found = read_replayed(written | {"segments": []})
    assert found is not None
    assert (found.told.kind, found.told.steps, found.told.allocator.allocated_bytes) == ("end", 0, 0)
    assert any(note.startswith("none of the 2 steps agrees with the list of segments") for note in found.told.notes)
    assert not any("steps 3 to 2" in note for note in found.told.notes)


@pytest.mark.parametrize("key", ["name", "filename", "line"])
@pytest.mark.parametrize("how", ["missing", "null"])
def test_frames_that_lack_a_key_lose_no_history(key: str, how: str) -> None:
    written = snapshot(OOM)
    for entry in (*written["device_traces"][0], *written["segments"][0]["blocks"]):
        entry["frames"] = [
            {name: told for name, told in one.items() if name != key} | ({key: None} if how == "null" else {})
            for one in entry["frames"]
        ]
    found = read_replayed(written)
    assert found is not None
    assert found.told.kind == "refusal"
    assert "None" not in str(found.told.by_stack)


def test_a_malformed_history_is_named(tmp_path: Path) -> None:
    written = snapshot(OOM)
    written["device_traces"][0][0]["size"] = "many"
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(pickle.dumps(written))
    report = build_report(of_snapshot_file(path))
    assert any(note.startswith("its history is malformed") for note in report.notes)


def test_a_report_of_a_history_does_not_say_that_only_one_instant_is_known(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pickle"
    for written, is_instant in ((snapshot(OOM), False), (snapshot() | {"device_traces": []}, True)):
        path.write_bytes(pickle.dumps(written))
        report = build_report(of_snapshot_file(path))
        assert any(note.startswith("one instant only") for note in report.notes) == is_instant


def test_the_map_beside_a_trace_names_what_memory_is_for_as_its_tables_do(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(pickle.dumps(snapshot(OOM)))
    page = to_html(build_report(of_snapshot_file(path))).decode()
    assert re.search(r"<li>(?:(?!</li>).)*unknown 12\.0 MiB</li>", page)
    assert "other 12.0 MiB" not in page
    assert "Deepest fall" not in page, "of one instant there is no fall"


def test_of_several_gpus_the_report_names_the_one_it_is_about_and_what_the_others_held(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pickle"
    worked = [step(action, BASE + 17 * MIB, 2 * MIB, 1_800_000_000_000_100) for action in ("alloc", *FREED)]
    calm, refusing = snapshot(*worked), snapshot(OOM)
    for segment in refusing["segments"]:
        segment["device"] = 1
    both = {
        "segments": calm["segments"] + refusing["segments"],
        "device_traces": calm["device_traces"] + refusing["device_traces"],
    }
    path.write_bytes(pickle.dumps(both))
    report = build_report(of_snapshot_file(path))
    assert report.title == "The recorded process ran out of memory on GPU 1: it asked for 10.0 MiB"
    assert "on GPU 0 the program held at most 20.0 MiB" in report.notes
    broken = snapshot(step("alloc", 1, 2 * MIB, 1_800_000_000_000_000), *worked)["device_traces"]
    path.write_bytes(pickle.dumps(both | {"device_traces": broken + refusing["device_traces"]}))
    known = "on GPU 0 the program held at most 20.0 MiB in the part of its history that is known"
    assert known in build_report(of_snapshot_file(path)).notes
    path.write_bytes(pickle.dumps(both | {"device_traces": snapshot()["device_traces"] + refusing["device_traces"]}))
    assert "on GPU 0 the program held 17.0 MiB at the end" in build_report(of_snapshot_file(path)).notes, "one step"
    path.write_bytes(pickle.dumps(refusing | {"segments": snapshot()["segments"]}))
    assert "GPU" not in build_report(of_snapshot_file(path)).title, "one GPU needs no number"


def test_ranges_that_were_mapped_show_that_segments_could_expand() -> None:
    """Before PyTorch 2.3 no setting says so, and none of them may be left at the end: their blocks keep no rest."""
    allocator = CachingAllocator(expandable=True)
    allocator.free(allocator.alloc(19 * MIB))
    allocator.empty_cache()
    replayed = read_replayed(allocator.snapshot((2, 1)))
    assert replayed is not None
    assert (replayed.devices[0].peak.bytes, replayed.devices[0].peak.bytes_max) == (19 * MIB, None)
