"""The history in a PyTorch memory snapshot, and what a report makes of it."""

import pickle
from pathlib import Path
from typing import Any

from blackbox.report import build_report
from blackbox.report.origins import of_snapshot_file
from blackbox.sources.memory_snapshot.history import read_histories

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


def test_what_lived_before_the_history_stands_in_front_without_a_time() -> None:
    (history,) = read_histories(snapshot())
    assert [(one.address, one.time_us is None) for one in history.trace] == [(BASE, True), (BASE + 12 * MIB, False)]
    assert history.refusal is None


def test_frames_are_those_of_python_where_there_are_any() -> None:
    (history,) = read_histories(snapshot())
    leak = history.trace[1].stack
    assert leak is not None
    assert history.stacks[leak] == ("/src/train.py:8 forward", "/src/train.py:20 <module>")


def test_a_failure_that_ended_it_is_told() -> None:
    (history,) = read_histories(snapshot(OOM))
    assert history.refusal is not None
    assert (history.refusal.requested_bytes, history.refusal.device_free_bytes) == (10 * MIB, MIB)


def test_a_failure_it_recovered_from_is_past() -> None:
    (history,) = read_histories(snapshot(OOM, step("alloc", BASE + 17 * MIB, MIB, 1_800_000_002_000_000)))
    assert history.refusal is None


def test_a_device_without_history_has_none() -> None:
    assert read_histories(snapshot() | {"device_traces": [[]]}) == ()
    assert read_histories({"segments": []}) == ()


def test_a_dumped_failure_is_reported_like_one_that_blackbox_saw(tmp_path: Path) -> None:
    path = tmp_path / "x.pickle"
    path.write_bytes(pickle.dumps(snapshot(OOM)))
    report = build_report(of_snapshot_file(path))
    assert report.title == "the recorded process ran out of memory: it asked for 10.0 MiB"
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
