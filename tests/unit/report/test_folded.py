"""Collapsed stacks: every stack of the moment, and an exact sum."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from blackbox.cli import main
from blackbox.report import build_report, to_folded
from blackbox.report.snapshot_file import of_snapshot_file
from blackbox.sources.memory_snapshot.replayed import read_replayed
from tests import genuine
from tests.caching_allocator import MIB, CachingAllocator, Frames
from tests.traced_programs import STACKS, allocators, perform, programs


def written(allocator: CachingAllocator, folder: Path) -> Path:
    path = folder / "snapshot.pickle"
    path.write_bytes(pickle.dumps(allocator.snapshot((2, 12))))
    return path


def sums(folded: bytes) -> dict[str, int]:
    rows = [line.rpartition(" ") for line in folded.decode().splitlines()]
    assert len({name for name, _, _ in rows}) == len(rows)
    return {name: int(count) for name, _, count in rows}


def test_frames_run_from_the_outermost_in(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    allocator = CachingAllocator()
    odd: Frames = [{"filename": "/app/a;b.py", "line": 1, "name": "f\nx"}, *STACKS[1]]
    allocator.alloc(3 * MIB, frames=odd)
    allocator.alloc(5 * MIB)
    allocator.free(allocator.alloc(MIB, frames=STACKS[2]))
    assert main(["report", str(written(allocator, tmp_path)), "--folded"]) == 0
    assert sums(capsysbinary.readouterr().out) == {
        "/app/main.py:1 main;/app/model1.py:1 forward;/app/a:b.py:1 f x": 3 * MIB,
        "/app/main.py:1 main;/app/model2.py:2 forward": MIB,
        "[stack not recorded]": 5 * MIB,
    }


def test_more_stacks_than_a_page_tells(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    allocator = CachingAllocator()
    for place in range(300):
        allocator.alloc(MIB, frames=[{"filename": "/app/x.py", "line": place, "name": "f"}])
    path = str(written(allocator, tmp_path))
    assert main(["report", path, "--folded"]) == 0
    folded = sums(capsysbinary.readouterr().out)
    assert len(folded) == 300
    assert main(["report", path, "--json"]) == 0
    assert sum(folded.values()) == json.loads(capsysbinary.readouterr().out)["peak"]["bytes"]


def test_a_genuine_file() -> None:
    report = build_report(of_snapshot_file(genuine.sample("torch-memory-snapshot-user-metadata.pickle")))
    assert report.told is not None
    assert sum(sums(to_folded(report)).values()) == report.told.allocator.allocated_bytes


@given(allocators(), programs)
def test_the_sum_is_exact(allocator: CachingAllocator, program: list[tuple[Any, ...]]) -> None:
    perform(allocator, program)
    found = read_replayed(allocator.snapshot((2, 12)))
    if found is not None:
        assert sum(share.bytes for share in found.told.by_stack) == found.told.allocator.allocated_bytes


@pytest.mark.parametrize("more", [["--text"], ["-o", "x.html"], ["--json"]])
def test_it_goes_alone(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "snapshot.pickle", "--folded", *more]) == 2
    assert "--folded" in capsys.readouterr().err


def test_without_stacks_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(CachingAllocator(), tmp_path)
    assert main(["report", str(path), "--folded"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
