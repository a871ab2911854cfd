"""A report on a PyTorch snapshot: of the moment of the refusal, or of the peak, and never of what came after."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from blackbox.cli import main
from blackbox.report import Report, build_report, to_html, to_json, to_text
from blackbox.report.snapshot_file import of_snapshot_file
from tests import genuine
from tests.caching_allocator import MIB, CachingAllocator
from tests.snapshot_reports import refuse, report_of
from tests.traced_programs import STACKS

GIB = 1024 * MIB


PEAK_KEYS = {"gpu", "bytes", "requested_bytes", "step", "seconds", "by_category", "by_stack"}


def case(name: str) -> Report:
    return build_report(of_snapshot_file(genuine.case(f"{name}/snapshot.pickle")))


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
