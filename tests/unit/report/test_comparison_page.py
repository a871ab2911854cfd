"""Two snapshots as one page: both on one axis, with the figures that `compare --json` tells."""

import json
import pickle
import re
from pathlib import Path
from typing import Any

from blackbox.report.comparison import compare_files
from blackbox.report.comparison_page import comparison_page
from tests import genuine
from tests.caching_allocator import MIB, CachingAllocator, Frames
from tests.traced_programs import STACKS

DATA = re.compile(rb'<script id="compare-data" type="application/json">(.*?)</script>', re.DOTALL)
PAGE_BYTES_MAX = 2_000_000


def write(path: Path, size: int, frames: Frames = STACKS[1]) -> Path:
    allocator = CachingAllocator()
    allocator.free(allocator.alloc(size * MIB, frames=frames))
    path.write_bytes(pickle.dumps(allocator.snapshot((2, 12))))
    return path


def peaks(page: bytes) -> list[int]:
    """As the script adds them up."""
    found = DATA.search(page)
    assert found is not None
    runs: list[dict[str, Any]] = json.loads(found[1])["runs"]
    return [sum(_level(band, run["peak"]) for band in run["category"]) for run in runs]


def _level(band: dict[str, Any], point: int) -> int:
    at = level = 0
    for step, change in zip(band["at"], band["bytes"], strict=True):
        at += step
        level += change if at <= point else 0
    return level


def test_both_are_drawn_as_they_are_compared(tmp_path: Path) -> None:
    found = compare_files(write(tmp_path / "a.pickle", 30), write(tmp_path / "b.pickle", 50))
    page = comparison_page(found)
    assert peaks(page) == [30 * MIB, 50 * MIB]
    (device,) = found.devices
    assert device.a is not None
    assert device.b is not None
    assert peaks(page) == [device.a.bytes, device.b.bytes]
    text = page.decode()
    for phrase in ("GPU 0: the peak was 30.0 MiB, then 50.0 MiB (+20.0 MiB)", "model1.py:1 forward", "grown"):
        assert phrase in text[: text.index("compare-data")], "also without script"


def test_a_genuine_file_makes_a_small_page() -> None:
    path = genuine.sample("torch-memory-snapshot-user-metadata.pickle")
    page = comparison_page(compare_files(path, path))
    assert len(page) < PAGE_BYTES_MAX
    assert len(set(peaks(page))) == 1


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script>"
    frames: Frames = [{"filename": f"/{hostile}.py", "line": 1, "name": hostile}]
    a = write(tmp_path / "<script>a.pickle", 30, frames)
    page = comparison_page(compare_files(a, write(tmp_path / "b.pickle", 50)))
    assert len(re.findall(rb"<script[ >]", page)) == 2, "the data, and what draws it"
    assert re.search(rb"script-src 'sha256-[^']+'\"", page)


def test_without_a_trace_the_figures_stand_alone(tmp_path: Path) -> None:
    a = write(tmp_path / "a.pickle", 30)
    allocator = CachingAllocator()
    allocator.alloc(20 * MIB)
    b = tmp_path / "b.pickle"
    b.write_bytes(pickle.dumps(allocator.snapshot((2, 12)) | {"device_traces": [[]]}))
    page = comparison_page(compare_files(a, b))
    assert b"<script" not in page
    assert b"30.0 MiB, then 20.0 MiB" in page
