"""`blackbox import FILE.pickle`: what a snapshot holds, and nothing that a hostile one would like to happen."""

import json
import os
import pickle
import pickletools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import genuine, record_torch
from tests.contract.assertions import assert_honours_the_contract
from tests.waiting import PATIENCE_SECONDS

SECONDS_MAX = PATIENCE_SECONDS
GENUINE = "torch-memory-snapshot-user-metadata.pickle"
RECORDED = [f"simulated-{version[0]}.{version[1]}.pickle" for version in record_torch.VERSIONS]


def imported(path: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "blackbox", "import", str(path), *flags],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def answer_of(path: Path) -> dict[str, Any]:
    done = imported(path)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def assert_refused(done: "subprocess.CompletedProcess[str]", path: Path) -> None:
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"blackbox: {path}: ")
    assert done.stderr.count("\n") == 1


def assert_whole(answer: dict[str, Any]) -> None:
    """Every sum of the answer agrees."""
    assert_honours_the_contract(answer)
    assert {process["pid"] for process in answer["processes"]} == {0}
    for process in answer["processes"]:
        blocks = [block for block in answer["blocks"] if block["gpu"] == process["gpu"]]
        assert process["used_bytes"] == process["reserved_bytes"] == sum(block["size"] for block in blocks)
        assert process["allocated_bytes"] == sum(block["size"] for block in blocks if block["utilized"])
        ends = [0, *(block["address"] + block["size"] for block in blocks)]
        assert all(block["address"] >= end for block, end in zip(blocks, ends[:-1], strict=True))
    assert answer["used_bytes"] == answer["reserved_bytes"] == sum(gpu["used_bytes"] for gpu in answer["gpus"])
    ledger = answer["used_bytes"] + answer["free_bytes"] + answer["driver_reserved_bytes"]
    assert answer["total_bytes"] == ledger
    assert answer["active_blocks"] + answer["free_blocks"] == len(answer["blocks"])
    assert {"total_bytes", "free_bytes", "used_percent", "host"} <= answer["unknown"].keys()


@pytest.mark.parametrize("name", RECORDED)
def test_old_and_new_formats_give_the_same_memory(name: str) -> None:
    answer = answer_of(record_torch.FOLDER / name)
    assert_whole(answer)
    allocators = record_torch.allocators()
    assert [gpu["used_bytes"] for gpu in answer["gpus"]] == [one.reserved_bytes for one in allocators]
    assert answer["atomic_allocations_bytes"] == sum(one.allocated_bytes for one in allocators)
    stranded, held = sum(one.inactive_split_bytes for one in allocators), sum(one.reserved_bytes for one in allocators)
    assert answer["fragmentation_ratio"] == round(stranded / held, 4)
    assert sum(block["allocated"] and not block["utilized"] for block in answer["blocks"]) == 4
    with_history = "2.0" not in name
    assert ("timestamp" in answer["unknown"]) is not with_history
    assert not with_history or answer["timestamp"] == "2025-10-09T08:53:21.000Z"


@pytest.mark.parametrize("version", record_torch.VERSIONS)
def test_the_captures_are_what_the_recorder_writes(version: tuple[int, int]) -> None:
    path = record_torch.FOLDER / f"simulated-{version[0]}.{version[1]}.pickle"
    assert pickle.loads(path.read_bytes()) == record_torch.snapshot(version)


def test_the_genuine_snapshot_is_told_whole() -> None:
    answer = answer_of(genuine.sample(GENUINE))
    assert_whole(answer)
    assert answer["reserved_bytes"] == 4_238_344_192
    assert (answer["active_blocks"], answer["free_blocks"]) == (447, 103)
    assert answer["fragmentation_ratio"] == 0.0424
    assert answer["timestamp"].startswith("2026-03-11T")


def test_a_list_of_segments_alone_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "segments.pkl"
    path.write_bytes(pickle.dumps(record_torch.snapshot((2, 13))["segments"]))
    assert_whole(answer_of(path))


def test_compact_is_one_line() -> None:
    done = imported(record_torch.FOLDER / RECORDED[0], "--compact")
    assert done.stdout.count("\n") == 1


class Evil:
    """Pickles to a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def deep(opening: bytes, closing: bytes, levels: int) -> bytes:
    return b"\x80\x04" + opening * levels + closing * levels + b"."


HOSTILE: dict[str, bytes] = {
    "lists in lists": deep(b"]", b"a", 1_000_000)[:-2] + b".",
    "tuples in tuples": b"\x80\x04)" + b"\x85" * 2_000_000 + b".",
    "key that takes the stack to hash": b"\x80\x04})" + b"\x85" * 2_000_000 + b"K\x01s.",
    "memo index of gigabytes": b"\x80\x04]r\xff\xff\xff\x7f.",
    "text of exabytes": b"\x80\x04\x8d" + (1 << 60).to_bytes(8, "little") + b"x.",
    "bytes of gigabytes": b"\x80\x05\x96" + (8 << 30).to_bytes(8, "little") + b"x.",
    "number of a million digits": b"\x80\x04]\x8b" + (415_000).to_bytes(4, "little") + b"\x7f" * 415_000 + b"a.",
    "doubling lists": b"\x80\x04]" + b"2\x86" * 60 + b".",
    "a million dicts in a megabyte": b"\x80\x04(" + b"}" * 1_000_000 + b"l.",
    "nothing": b"",
    "text": b"not a pickle at all\n",
    "cut short": pickle.dumps(record_torch.snapshot((2, 13)))[:-100],
    "persistent reference": b"\x80\x04X\x01\x00\x00\x00aQ.",
    "extension": b"\x80\x04\x82\x01.",
    "unwritten memo": b"\x80\x04h\x07.",
    "empty stack": b"\x80\x04.",
    "number": pickle.dumps(42),
    "other dict": pickle.dumps({"weights": [1, 2]}),
    "segments that are no list": pickle.dumps({"segments": {"a": 1}}),
    "segments of nonsense": pickle.dumps({"segments": [{"device": 0, "address": 1, "blocks": [3]}]}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_or_broken_pickle_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(HOSTILE[name])
    assert_refused(imported(path), path)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("function", [os.system, eval, exec, open, getattr])
def test_a_pickle_that_calls_executes_nothing(function: Any, protocol: int, tmp_path: Path) -> None:
    path, trace = tmp_path / "snapshot.pickle", tmp_path / "executed"
    argument = f"touch {trace}" if function is os.system else f"open({str(trace)!r}, 'w')"
    call = Evil(function, str(trace), "w") if function is open else Evil(function, argument)
    path.write_bytes(pickle.dumps({"segments": [], "evil": call}, protocol))
    assert any(op.name in ("GLOBAL", "STACK_GLOBAL") for op, _, _ in pickletools.genops(path.read_bytes()))
    done = imported(path)
    assert_refused(done, path)
    assert "it asks for " in done.stderr
    assert not trace.exists()


def test_a_file_too_large_to_be_read_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pickle"
    with path.open("wb") as sparse:
        sparse.truncate(5 << 30)
    assert_refused(imported(path), path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert_refused(imported(tmp_path / "no.pickle"), tmp_path / "no.pickle")
    (tmp_path / "folder.pickle").mkdir()
    assert_refused(imported(tmp_path / "folder.pickle"), tmp_path / "folder.pickle")


def test_another_kind_of_file_is_a_wrong_use() -> None:
    done = imported(Path("notes.txt"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
