"""A report on a PyTorch snapshot: of the moment of the refusal, or of the peak, and never of what came after."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from blackbox.analysis.stacks import StackGrowth
from blackbox.cli import main
from blackbox.report import Report, build_report, to_html, to_json, to_text
from blackbox.report.snapshot_file import of_snapshot_file
from blackbox.report.text import stacks_text
from tests import genuine
from tests.caching_allocator import MIB, CachingAllocator, Frames, RefusedError
from tests.traced_programs import STACKS

GIB = 1024 * MIB
PEAK_KEYS = {"gpu", "bytes", "requested_bytes", "step", "seconds", "by_category", "by_stack"}


def report_of(allocator: CachingAllocator, folder: Path) -> Report:
    path = folder / "snapshot.pickle"
    path.write_bytes(pickle.dumps(allocator.snapshot((2, 12))))
    return build_report(of_snapshot_file(path))


def case(name: str) -> Report:
    return build_report(of_snapshot_file(genuine.case(f"{name}/snapshot.pickle")))


def refuse(allocator: CachingAllocator, size: int, frames: Frames = STACKS[2]) -> None:
    with pytest.raises(RefusedError):
        allocator.alloc(size, frames=frames)


def unwound() -> CachingAllocator:
    allocator = CachingAllocator(100 * MIB)
    held = [allocator.alloc(20 * MIB, frames=STACKS[1]) for _ in range(4)]
    refuse(allocator, 40 * MIB)
    for address in held[1:]:
        allocator.free(address)
    return allocator


def test_the_cause_is_that_of_the_refusal_and_not_of_the_end(tmp_path: Path) -> None:
    report = report_of(unwound(), tmp_path)
    assert report.cause == "shortage"
    assert report.cache is not None
    assert (report.cache.allocated_bytes, report.cache.usable_bytes) == (80 * MIB, 0)
    assert report.growth is not None
    assert [(share.bytes, share.count) for share in report.growth.shares] == [(80 * MIB, 4)]
    assert "the blocks are those at the refusal; 20.0 MiB were allocated when the file was written" in report.notes
    for printed in (to_text(report), to_html(report).decode()):
        assert "FRAGMENTATION" not in printed.upper()
        assert "expandable_segments" not in printed


def test_a_refusal_without_a_time_is_told_of_when_the_file_was_written(tmp_path: Path) -> None:
    path, written = tmp_path / "snapshot.pickle", 1_800_000_000.0
    snapshot = unwound().snapshot((2, 1))
    for trace in snapshot["device_traces"]:
        for entry in trace:
            entry.pop("time_us", None)
    path.write_bytes(pickle.dumps(snapshot))
    os.utime(path, (written, written))
    report = build_report(of_snapshot_file(path))
    assert report.request is not None
    assert {report.time, report.request.time, *(event.timestamp for event in report.events)} == {written}
    assert [note for note in report.notes if "no times" in note]
    assert not [note for note in report_of(unwound(), tmp_path).notes if "no times" in note]


def test_what_lies_free_in_a_private_pool_is_no_fragment(tmp_path: Path) -> None:
    allocator = CachingAllocator(100 * MIB)
    allocator.free(allocator.alloc(40 * MIB, pool=(0, 3)))
    keep = allocator.alloc(39 * MIB, pool=(0, 3))
    allocator.alloc(40 * MIB, frames=STACKS[1])
    refuse(allocator, 30 * MIB)
    allocator.free(keep)
    report = report_of(allocator, tmp_path)
    assert report.cause == "shortage"
    assert report.cache is not None
    assert (report.cache.usable_bytes, report.cache.unusable) == (0, {})


def test_fragmentation_is_enough_for_the_request_and_nowhere_at_once(tmp_path: Path) -> None:
    allocator = CachingAllocator(82 * MIB)
    held = [allocator.alloc(10 * MIB - 512) for _ in range(8)]
    for address in held[::2]:
        allocator.free(address)
    refuse(allocator, 30 * MIB)
    report = report_of(allocator, tmp_path)
    assert report.cause == "fragmentation"
    assert report.cache is not None
    assert report.request is not None
    assert (report.cache.usable_bytes or 0) >= (report.request.missing_bytes or 0)
    assert (report.cache.largest_hole_bytes or 0) < report.request.requested_bytes
    assert any("expandable_segments" in advice.text for advice in report.advice)
    assert all(advice.bytes != 0 for advice in report.advice)


def test_without_a_refusal_the_peak_is_told(tmp_path: Path) -> None:
    allocator = CachingAllocator()
    for address in [allocator.alloc(20 * MIB, frames=STACKS[0]) for _ in range(3)]:
        allocator.free(address)
    report = report_of(allocator, tmp_path)
    assert report.cause is None
    assert report.title.startswith("The recorded process held 60.0 MiB at its peak")
    assert "nothing was refused: the blocks are those at the peak" in "".join(report.notes)


def checked(document: dict[str, Any]) -> dict[str, Any]:
    """Every list of shares sums to its moment."""
    for device in document["devices"]:
        peak = device["peak"]
        assert set(peak) >= PEAK_KEYS
        for name in ("by_category", "by_stack", "by_pool"):
            assert sum(share["bytes"] for share in peak[name]) == peak["bytes"]
            for refusal in device["refusals"]:
                assert sum(share["bytes"] for share in refusal[name]) == refusal["allocated_bytes"]
    return document


def test_json_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report_of(unwound(), tmp_path)
    assert main(["report", str(tmp_path / "snapshot.pickle"), "--json"]) == 0
    document = checked(json.loads(capsys.readouterr().out))
    (refusal,) = document["refusals"]
    assert document["peak"]["bytes"] == document["peak"]["requested_bytes"] == 80 * MIB
    assert document["peak"]["step"] == 7
    assert (refusal["requested_bytes"], refusal["device_free_bytes"], refusal["free_bytes"]) == (40 * MIB, 20 * MIB, 0)
    assert (refusal["allocated_bytes"], refusal["reserved_bytes"], refusal["step"]) == (80 * MIB, 80 * MIB, 8)
    assert (refusal["freed_after"]["bytes"], refusal["freed_after"]["blocks"]) == (60 * MIB, 3)
    assert [cause["cause"] for cause in document["causes"]] == ["shortage"]
    assert document["devices"][0]["peak"] == document["peak"]


@pytest.mark.parametrize("more", [["--text"], ["-o", "x.html"]])
def test_json_goes_alone(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "snapshot.pickle", "--json", *more]) == 2
    assert "--json" in capsys.readouterr().err


def test_case_of_an_out_of_memory_that_had_unwound() -> None:
    report = case("report-oom-then-unwound")
    assert report.cause == "shortage"
    assert report.cache is not None
    assert (report.cache.allocated_bytes, report.cache.reserved_bytes) == (22 * GIB, 22 * GIB)
    assert report.cache.usable_bytes == 0
    assert report.growth is not None
    share = report.growth.shares[0]
    assert (share.bytes, share.count, share.frames[0]) == (20 * GIB, 20, "/app/train.py:20 forward")


def test_case_of_a_private_pool_that_is_free() -> None:
    report = case("report-private-pool-free")
    assert report.cause == "shortage"
    assert report.cache is not None
    assert (report.cache.usable_bytes, report.cache.unusable) == (0, {"private_pool": 6 * GIB})
    (remedy,) = [advice for advice in report.advice if advice.bytes == 6 * GIB]
    assert "private pools" in remedy.title
    assert "expandable_segments" not in to_text(report)


def test_case_of_expandable_segments_already_on() -> None:
    report = case("report-expandable-already-on")
    assert report.cause == "limit"
    text = to_text(report)
    assert "max_split_size_mb" in text
    assert "expandable_segments" not in text
    assert "nowhere enough at once" not in text


def test_case_of_stacks_that_begin_with_the_recorder() -> None:
    text = to_text(case("report-cpp-frames-first"))
    assert "torch::autograd::Engine::thread_main" in text
    assert "unwind" not in text
    assert "CachingAllocator" not in text


def test_case_of_stacks_in_the_history_of_blocks() -> None:
    report = case("import-2.0-history-stacks")
    assert report.growth is not None
    assert {(share.frames[0], share.bytes) for share in report.growth.shares} == {
        ("/app/weights.py:30 load", 512 * MIB),
        ("/app/cache.py:31 grow", 512 * MIB),
    }


def test_a_genuine_file() -> None:
    document = checked(json.loads(to_json(build_report(of_snapshot_file(genuine.sample(GENUINE))))))
    (device,) = document["devices"]
    assert device["replayed_steps"] == device["steps"] == 6486
    assert document["peak"]["bytes"] <= document["peak"]["bytes_max"] <= 1.006 * document["peak"]["bytes"]
    assert document["refusals"] == []


GENUINE = "torch-memory-snapshot-user-metadata.pickle"


def test_rules_of_the_users_own_name_what_memory_is_for(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(pickle.dumps(unwound().snapshot((2, 12))))
    rules = tmp_path / "rules.txt"
    rules.write_text("first layer = model1.py\n")
    assert main(["report", str(path), "--json", "--rules", str(rules)]) == 0
    told = json.loads(capsysbinary.readouterr().out)
    (share,) = told["peak"]["by_category"]
    assert (share["category"], share["bytes"], share["type_source"]) == ("first layer", 80 * MIB, "stack")


@pytest.mark.parametrize(("name", "written"), [("rules.txt", b"lonely"), ("rules.txt", b""), ("none.txt", None)])
def test_rules_that_cannot_be_used_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, written: bytes | None
) -> None:
    if written is not None:
        (tmp_path / name).write_bytes(written)
    assert main(["report", "snapshot.pickle", "--text", "--rules", str(tmp_path / name)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_rules_are_for_snapshots_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text("a = b")
    assert main(["report", str(tmp_path), "--text", "--rules", str(rules)]) == 2
    assert "--rules" in capsys.readouterr().err


WRAPPER = {"filename": "/site-packages/torch/optim/optimizer.py", "line": 1, "name": "wrapper"}
OPTIMIZER: Frames = [WRAPPER, STACKS[0][1]]


def trained(leak: int, last: int, steps: int = 12) -> CachingAllocator:
    """Steps of 8 MiB, each of which leaves `leak` behind; the last one asks for `last` more than there is."""
    memory = CachingAllocator(100 * MIB)
    memory.alloc(20 * MIB, frames=STACKS[0])
    for _ in range(steps):
        batch = memory.alloc(8 * MIB, frames=STACKS[1])
        if leak:
            memory.alloc(leak, frames=STACKS[3])
        memory.free(memory.alloc(4 * MIB, frames=OPTIMIZER), frames=OPTIMIZER)
        memory.free(batch, frames=STACKS[1])
    refuse(memory, last)
    return memory


def test_what_grows_from_step_to_step_outranks_what_it_broke_on(tmp_path: Path) -> None:
    report = report_of(trained(leak=4 * MIB, last=40 * MIB), tmp_path)
    assert [told.cause for told in report.causes] == ["leak", "shortage"]
    assert report.causes[0].figures["rise_bytes"] == 40 * MIB, "from the second step to the twelfth"
    assert "Cause: A LEAK, TOO LITTLE MEMORY" in to_text(report)


def test_a_step_that_needs_far_more_than_those_before_it_is_a_spike(tmp_path: Path) -> None:
    report = report_of(trained(leak=0, last=90 * MIB), tmp_path)
    assert [told.cause for told in report.causes] == ["shortage", "spike"]
    assert report.cache is not None
    assert sum(use.after_bytes for use in report.uses) == report.cache.reserved_bytes
    figures = report.causes[1].figures
    assert (figures["needed_bytes"], figures["earlier_bytes"], figures["steps"]) == (110 * MIB, 32 * MIB, 11)


MODULE = {"filename": "/site-packages/torch/nn/modules/module.py", "line": 1, "name": "_call_impl"}
FORWARD: Frames = [STACKS[0][0], MODULE, STACKS[0][1]]
LOADING: Frames = [{"filename": "/site-packages/transformers/modeling_utils.py", "line": 1, "name": "from_pretrained"}]
CACHE: Frames = [{"filename": "/site-packages/transformers/cache_utils.py", "line": 1, "name": "update"}, *FORWARD]


def served(kept: int, frames: Frames = FORWARD, requests: int = 12) -> CachingAllocator:
    """Requests of 8 MiB of activations, each of which leaves `kept` behind; the last one asks for too much."""
    memory = CachingAllocator(100 * MIB)
    memory.alloc(20 * MIB, frames=STACKS[0])
    for _ in range(requests):
        request = memory.alloc(MIB // 2, frames=STACKS[3])
        batch = memory.alloc(8 * MIB, frames=FORWARD)
        if kept:
            memory.alloc(kept, frames=frames)
        memory.free(batch, frames=FORWARD)
        memory.free(request, frames=STACKS[3])
    refuse(memory, 60 * MIB if kept else 90 * MIB)
    return memory


def test_what_grows_from_request_to_request_is_a_leak(tmp_path: Path) -> None:
    report = report_of(served(kept=4 * MIB), tmp_path)
    assert [told.cause for told in report.causes] == ["leak", "shortage"]
    assert report.causes[0].figures["rise_bytes"] == 40 * MIB, "from the second request to the twelfth"


def test_requests_that_leave_nothing_behind_are_no_leak(tmp_path: Path) -> None:
    assert "leak" not in [told.cause for told in report_of(served(kept=0), tmp_path).causes]


def test_a_kv_cache_that_grows_with_what_is_generated_is_no_leak(tmp_path: Path) -> None:
    report = report_of(served(kept=4 * MIB, frames=CACHE), tmp_path)
    assert report.told is not None
    assert {share.category for share in report.traced[0].refusals[-1].moment.by_category} >= {"KV cache"}
    assert "leak" not in [told.cause for told in report.causes]


def test_steps_of_a_profiler_are_steps_whatever_is_done_in_them(tmp_path: Path) -> None:
    memory = CachingAllocator(100 * MIB)
    scopes: list[dict[str, Any]] = []
    for number in range(12):
        start = memory._time + 1
        memory.free(memory.alloc(8 * MIB, frames=STACKS[1]))
        memory.alloc(4 * MIB, frames=STACKS[2])
        name = f"ProfilerStep#{number}"
        scopes += (
            {"name": name, "stage": stage, "device": 0, "time_us": time}
            for stage, time in (("START", start), ("END", memory._time))
        )
    refuse(memory, 60 * MIB)
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(pickle.dumps(memory.snapshot((2, 12)) | {"external_annotations": scopes}))
    report = build_report(of_snapshot_file(path))
    assert report.cause == "leak"
    assert report.causes[0].figures["rise_bytes"] == 40 * MIB
    path.write_bytes(pickle.dumps(memory.snapshot((2, 12))))
    assert build_report(of_snapshot_file(path)).cause == "shortage", "without the scopes no steps are known"


def worked(
    works_with: int, kept: int, frames: Frames = STACKS[2], requests: int = 14, work: Frames = STACKS[2]
) -> CachingAllocator:
    """A program of no modules, of whose frames none tells a part of a step."""
    memory = CachingAllocator(100 * MIB)
    memory.alloc(20 * MIB, frames=work)
    for _ in range(requests):
        held = [memory.alloc(works_with // 2, frames=work) for _ in range(2)]
        if kept:
            memory.alloc(kept, frames=frames)
        for address in held:
            memory.free(address, frames=work)
    refuse(memory, 90 * MIB)
    return memory


def test_a_leak_is_told_where_nothing_marks_the_steps(tmp_path: Path) -> None:
    report = report_of(worked(works_with=16 * MIB, kept=3 * MIB), tmp_path)
    assert [told.cause for told in report.causes][:2] == ["leak", "shortage"]
    assert report.causes[0].figures["rise_bytes"] == 36 * MIB, "from the second round to the fourteenth"
    assert "memory held from round to round of its work (13, which nothing marks) grew by 36.0 MiB" in to_text(report)


@pytest.mark.parametrize(
    "memory",
    [
        worked(works_with=16 * MIB, kept=0),
        worked(works_with=16 * MIB, kept=3 * MIB, requests=6),
        worked(works_with=8 * MIB, kept=4 * MIB),
        worked(works_with=16 * MIB, kept=3 * MIB, frames=LOADING),
        worked(works_with=16 * MIB, kept=3 * MIB, frames=CACHE),
        worked(works_with=16 * MIB, kept=3 * MIB, frames=[], work=[]),
    ],
    ids=[
        "nothing is kept",
        "too few rounds",
        "it may be a model that is converted",
        "it is loaded",
        "KV cache",
        "no stacks, so it may be KV cache",
    ],
)
def test_what_may_be_none_is_not_told(memory: CachingAllocator, tmp_path: Path) -> None:
    assert "leak" not in [told.cause for told in report_of(memory, tmp_path).causes]


def test_one_forward_pass_that_fills_the_memory_is_no_leak(tmp_path: Path) -> None:
    memory = CachingAllocator(100 * MIB)
    for _ in range(9):
        memory.alloc(10 * MIB, frames=STACKS[2])
    refuse(memory, 20 * MIB)
    assert [told.cause for told in report_of(memory, tmp_path).causes] == ["shortage"]


def test_settings_in_force_are_not_advised(tmp_path: Path) -> None:
    memory = CachingAllocator(100 * MIB, expandable=True, max_split=20 * MIB)
    held = [memory.alloc(18 * MIB, frames=STACKS[1]) for _ in range(5)]
    memory.free(held[1])
    memory.free(held[3])
    refuse(memory, 60 * MIB)
    report = report_of(memory, tmp_path)
    assert "expandable_segments" not in " ".join(item.text for item in report.advice)
    assert all(item.bytes is None or item.bytes > 0 for item in report.advice)


@pytest.mark.parametrize(
    "settings",
    [
        {"PYTORCH_CUDA_ALLOC_CONF": "backend:native,per_process_memory_fraction:0.25"},
        {"per_process_memory_fraction": 0.25},
    ],
)
def test_a_memory_fraction_in_the_settings_is_named(settings: dict[str, object], tmp_path: Path) -> None:
    allocator = CachingAllocator(100 * MIB)
    allocator.alloc(60 * MIB, frames=STACKS[1])
    refuse(allocator, 50 * MIB)
    written = allocator.snapshot((2, 12))
    written["device_traces"][0][-1]["device_free"] = 200 * MIB
    written["allocator_settings"] |= settings
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(pickle.dumps(written))
    report = build_report(of_snapshot_file(path))
    assert report.cause == "limit"
    text = to_text(report)
    assert "memory fraction (torch.cuda.set_per_process_memory_fraction) lets it hold 0.25 of the GPU" in text
    assert "which, the file does not tell" not in text
    (limit,) = json.loads(to_json(report))["causes"]
    assert limit["figures"]["limit_used_bytes"] == 60 * MIB


def test_of_two_texts_of_settings_the_first_alone_counts_as_in_pytorch(tmp_path: Path) -> None:
    allocator = CachingAllocator(100 * MIB)
    refuse(allocator, 200 * MIB)
    written = allocator.snapshot((2, 12))
    written["allocator_settings"] |= {
        "PYTORCH_ALLOC_CONF": "per_process_memory_fraction:0.25",
        "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64",
    }
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(pickle.dumps(written))
    replayed = of_snapshot_file(path).replayed
    assert replayed is not None
    assert replayed.told.memory_fraction is None


@pytest.mark.parametrize("told", ["1.0", "0", "nan", "much", None, [1]])
def test_what_is_no_fraction_is_none(told: object, tmp_path: Path) -> None:
    allocator = CachingAllocator(100 * MIB)
    refuse(allocator, 200 * MIB)
    written = allocator.snapshot((2, 12))
    written["allocator_settings"] |= {"per_process_memory_fraction": told, "PYTORCH_CUDA_ALLOC_CONF": told}
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(pickle.dumps(written))
    replayed = of_snapshot_file(path).replayed
    assert replayed is not None
    assert replayed.told.memory_fraction is None


@pytest.mark.parametrize(("steps", "words"), [(1, "(1 step)"), (2, "(2 steps)"), (2_000, "(2,000 steps)")])
def test_steps_are_counted_in_words(steps: int, words: str) -> None:
    nothing = {"live_bytes": 0, "recent_bytes": 0, "freed_bytes": 0}
    growth = StackGrowth(shares=(), **nothing, seconds=None, steps=steps, levels=())
    assert words in stacks_text(growth)
