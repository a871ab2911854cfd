"""A snapshot's history as moments: exact at each, the peak and every refusal among them."""

import os
import pickle
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.rules import parse_rules
from blackbox.errors import FailureError
from blackbox.merge import merge
from blackbox.model.moment import Moment
from blackbox.model.visibility import visible_moment
from blackbox.report import build_report, from_moments
from blackbox.report.snapshot_file import of_snapshot_file
from blackbox.sources.memory_snapshot import playback
from blackbox.sources.memory_snapshot.playback import PlayedMoment, moments_of_file, played
from blackbox.sources.memory_snapshot.replayed import read_replayed
from tests import genuine
from tests.caching_allocator import MIB, CachingAllocator, Frames, RefusedError
from tests.traced_programs import STACKS, allocators, perform, programs


def file_of(written: dict[str, Any], folder: Path) -> Path:
    path = folder / "snapshot.pickle"
    path.write_bytes(pickle.dumps(written))
    return path


def unwound() -> CachingAllocator:
    allocator = CachingAllocator(100 * MIB)
    held = [allocator.alloc(20 * MIB, frames=STACKS[1]) for _ in range(4)]
    with pytest.raises(RefusedError):
        allocator.alloc(40 * MIB, frames=STACKS[2])
    for address in held[1:]:
        allocator.free(address)
    return allocator


def allocated(moments: list[Moment]) -> list[int]:
    return [moment.samples[0].allocators[0].allocated_bytes for moment in moments]


def check(moment: PlayedMoment) -> None:
    for allocator, device in zip(moment.sample.allocators, moment.sample.devices, strict=True):
        blocks = allocator.blocks or ()
        assert sum(block.size for block in blocks) == allocator.reserved_bytes
        active = sum(block.size for block in blocks if block.state == "active")
        assert active == allocator.allocated_bytes
        assert sum(stack.allocated_bytes for stack in allocator.stacks or ()) <= active
        memory = device.memory
        assert memory is not None
        assert memory.total_bytes == memory.used_bytes + memory.free_bytes
        assert memory.used_bytes == allocator.reserved_bytes


@given(allocators(), programs, st.sampled_from([20, 240]))
def test_every_moment_is_one_of_the_allocators_own(
    allocator: CachingAllocator, program: list[tuple[Any, ...]], count: int
) -> None:
    perform(allocator, program)
    written = allocator.snapshot((2, 12))
    found = read_replayed(written)
    with patch.object(playback, "MOMENTS_MAX", count):
        moments = list(played(written))
    if found is None:
        assert moments == []
        return
    truth = [allocator.before, *allocator.sums]
    seen = [moment.sample.allocators[0] for moment in moments]
    assert [(one.allocated_bytes, one.reserved_bytes) for one in (seen[0], seen[-1])] == [
        (sums.allocated, sums.reserved) for sums in (truth[0], truth[-1])
    ]
    assert {(one.allocated_bytes, one.reserved_bytes) for one in seen} <= {
        (sums.allocated, sums.reserved) for sums in truth
    }
    assert max(one.allocated_bytes for one in seen) == found.devices[0].peak.bytes
    for moment in moments:
        check(moment)
    times = [moment.time or 0.0 for moment in moments]
    assert times == sorted(times)
    refused = [event for moment in moments for event in moment.sample.events]
    assert len(refused) == found.devices[0].refusals_total
    assert all(event.kind == "oom" and event.oom is not None for event in refused)


def test_what_every_view_shows_of_it(tmp_path: Path) -> None:
    path = file_of(unwound().snapshot((2, 12)), tmp_path)
    moments = list(moments_of_file(path))
    assert (allocated(moments)[0], max(allocated(moments)), allocated(moments)[-1]) == (0, 80 * MIB, 20 * MIB)
    (at,) = [moment for moment in moments if moment.samples[0].events]
    (event,) = at.samples[0].events
    assert event.oom is not None
    assert (event.timestamp, event.oom.requested_bytes, event.oom.device_free_bytes) == (
        at.timestamp,
        40 * MIB,
        20 * MIB,
    )
    snapshot = merge(at)
    assert (snapshot.used_bytes, snapshot.total_bytes) == (80 * MIB, 100 * MIB)
    assert "total_bytes" in snapshot.gpus[0].unknown
    assert [(stack.frames[0], stack.allocated_bytes) for stack in snapshot.stacks or ()] == [
        ("/app/model1.py:1 forward", 80 * MIB)
    ]
    assert sum(block.size for block in snapshot.blocks) == snapshot.used_bytes
    assert [moment.timestamp for moment in moments] == sorted(moment.timestamp for moment in moments)


def test_who_plays_it_is_told_the_cause_that_the_report_of_the_file_tells(tmp_path: Path) -> None:
    path, viewer = file_of(unwound().snapshot((2, 12)), tmp_path), os.getuid()
    moments = [visible_moment(moment, viewer) for moment in moments_of_file(path)]
    events = [event for moment in moments for event in moment.samples[0].events]
    evidence = from_moments("replay", moments, events, (moments[0].timestamp, moments[-1].timestamp))
    assert evidence is not None
    replayed, of_file = build_report(evidence), build_report(of_snapshot_file(path))
    assert (replayed.title, replayed.cause) == (of_file.title, of_file.cause)
    assert replayed.request is not None
    assert replayed.request.requested_bytes == 40 * MIB
    assert [(use.what, use.after_bytes) for use in replayed.uses] == [("activations", 80 * MIB)]


def test_two_devices_are_told_together_in_the_order_of_their_times(tmp_path: Path) -> None:
    written, other = unwound().snapshot((2, 12)), CachingAllocator()
    other.free(other.alloc(30 * MIB, frames=STACKS[0]))
    second = other.snapshot((2, 12), device=1)
    written["segments"] += second["segments"]
    written["device_traces"] = [written["device_traces"][0], second["device_traces"][1]]
    moments = list(moments_of_file(file_of(written, tmp_path)))
    assert all(len(moment.samples[0].allocators) == 2 for moment in moments)
    peaks = [max(one.samples[0].allocators[place].allocated_bytes for one in moments) for place in (0, 1)]
    assert peaks == [80 * MIB, 30 * MIB]
    assert [moment.timestamp for moment in moments] == sorted(moment.timestamp for moment in moments)


def test_a_file_without_times_is_of_the_time_it_was_written(tmp_path: Path) -> None:
    path = file_of(unwound().snapshot((2, 1)), tmp_path)
    moments = list(moments_of_file(path))
    assert {moment.timestamp for moment in moments} == {path.stat().st_mtime}
    assert max(allocated(moments)) == 80 * MIB


def test_a_file_without_a_history_is_one_instant(tmp_path: Path) -> None:
    path = file_of(unwound().snapshot((2, 12)) | {"device_traces": [[]]}, tmp_path)
    (moment,) = moments_of_file(path)
    assert allocated([moment]) == [20 * MIB]


def test_a_genuine_file_has_the_peak_of_its_report() -> None:
    path = genuine.sample("torch-memory-snapshot-user-metadata.pickle")
    report = build_report(of_snapshot_file(path))
    moments = list(moments_of_file(path))
    assert max(allocated(moments)) == report.traced[0].peak.bytes
    assert len(moments) <= playback.MOMENTS_MAX + 3
    types = {block.type for moment in moments[-1:] for block in moment.samples[0].allocators[0].blocks or ()}
    assert "other" in types


@pytest.mark.parametrize("written", [b"broken", pickle.dumps({"segments": []}), pickle.dumps([1])])
def test_what_is_no_snapshot_is_refused_in_one_line(written: bytes, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(written)
    with pytest.raises(FailureError, match=r"snapshot\.pickle: [^\n]+$"):
        moments_of_file(path)


SITE = "/venv/lib/python3.12/site-packages/torch"
CALLED: Frames = [{"filename": f"{SITE}/nn/modules/module.py", "line": 1, "name": "_call_impl"}]
STEPPED: Frames = [{"filename": f"{SITE}/optim/adam.py", "line": 1, "name": "step"}]


def trained(kept: int) -> CachingAllocator:
    """Forty steps, each of which keeps so much."""
    allocator = CachingAllocator()
    for _ in range(40):
        if kept:
            allocator.alloc(kept, frames=STACKS[1])
        batch = allocator.alloc(30 * MIB, frames=CALLED)
        scratch = allocator.alloc(MIB, frames=STEPPED)
        for address in (batch, scratch):
            allocator.free(address, frames=STEPPED)
    return allocator


def test_memory_that_grows_from_step_to_step_is_told_once_as_it_is_on_a_live_server(tmp_path: Path) -> None:
    moments = list(moments_of_file(file_of(trained(5 * MIB).snapshot((2, 12)), tmp_path)))
    ((at, event),) = [(moment, event) for moment in moments for event in moment.samples[0].events]
    assert (event.kind, event.timestamp, event.pid) == ("memory_growth", at.timestamp, 0)
    assert event.growth is not None
    assert 64 * MIB <= event.growth.rise_bytes < event.growth.used_bytes <= 40 * 35 * MIB
    assert 0 < at.seq < len(moments) - 1


@pytest.mark.parametrize(("kept", "version"), [(0, (2, 12)), (5 * MIB, (2, 1))])
def test_what_does_not_grow_or_has_no_times_has_no_such_event(
    kept: int, version: tuple[int, int], tmp_path: Path
) -> None:
    moments = moments_of_file(file_of(trained(kept).snapshot(version), tmp_path))
    assert not [event for moment in moments for event in moment.samples[0].events]


def test_rules_of_the_users_own_say_what_the_memory_is_for(tmp_path: Path) -> None:
    path = file_of(unwound().snapshot((2, 12)), tmp_path)
    moments = list(moments_of_file(path, parse_rules(b"mine = model1.py")))
    blocks = [block for block in moments[-1].samples[0].allocators[0].blocks or () if block.state == "active"]
    assert {(block.subtype, block.type_source) for block in blocks} == {("mine", "stack")}


def test_a_history_of_which_nothing_agrees_with_the_end_is_played_as_its_end(tmp_path: Path) -> None:
    allocator = unwound()
    written = allocator.snapshot((2, 12))
    entries = written["device_traces"][0]
    entries.append(entries[-1] | {"action": "free_requested", "addr": 1, "time_us": entries[-1]["time_us"] + 5})
    (moment,) = moments_of_file(file_of(written, tmp_path))
    assert allocated([moment]) == [20 * MIB]
    assert moment.timestamp == entries[-1]["time_us"] / 1e6
