"""The page's timeline: what is shown sums to the report's own figures, and nothing recorded can become a script."""

import json
import pickle
import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given

from blackbox.analysis.trace.timeline import BANDS_MAX, STRETCHES, Band, Timeline
from blackbox.report import Report, build_report, to_html, to_json
from blackbox.report.palette import BANDS, CATEGORIES
from blackbox.report.snapshot_file import of_snapshot_file
from blackbox.report.timeline import categories, data, fitting, section, short_frame, stacks
from blackbox.sources.memory_snapshot.replayed import DeviceTimeline, read_replayed
from tests import genuine
from tests.caching_allocator import MIB, CachingAllocator, Frames
from tests.traced_programs import STACKS, allocators, perform, programs

DATA = re.compile(rb'<script id="timeline-data" type="application/json">(.*?)</script>', re.DOTALL)
PAGE_BYTES_MAX = 2_000_000


def report_of(allocator: CachingAllocator, folder: Path) -> Report:
    path = folder / "snapshot.pickle"
    path.write_bytes(pickle.dumps(allocator.snapshot((2, 12))))
    return build_report(of_snapshot_file(path))


def shown(page: bytes) -> dict[str, Any]:
    found = DATA.search(page)
    assert found is not None
    return json.loads(found[1])


def held(bands: list[Mapping[str, Any]], point: int, column: str = "bytes") -> dict[str, int]:
    """As the script adds it up: places are steps from one to the next."""
    sums: dict[str, int] = {}
    for band in bands:
        at = total = 0
        for place, step in enumerate(band["at"]):
            at += step
            total += band[column][place] if at <= point else 0
        sums[band["name"]] = sums.get(band["name"], 0) + total
    return sums


def check_peak(page: bytes, told: dict[str, Any]) -> None:
    drawn = shown(page)
    for kind in ("category", "stack"):
        assert sum(held(drawn[kind], drawn["peak"]).values()) == told["peak"]["bytes"]
    by_category = {share["category"]: share["bytes"] for share in told["peak"]["by_category"]}
    assert {name: size for name, size in held(drawn["category"], drawn["peak"]).items() if size} == by_category
    step = told["peak"]["step"]
    assert drawn["first"] + drawn["done"][drawn["peak"]] == (0 if step is None else step + 1)


def test_the_peak_is_the_one_of_the_json(tmp_path: Path) -> None:
    allocator = CachingAllocator(400 * MIB)
    for size in (20, 40, 60):
        allocator.free(allocator.alloc(size * MIB, frames=STACKS[size // 20]))
    report = report_of(allocator, tmp_path)
    check_peak(to_html(report), json.loads(to_json(report)))


def test_the_peak_of_a_genuine_file() -> None:
    report = build_report(of_snapshot_file(genuine.sample("torch-memory-snapshot-user-metadata.pickle")))
    page = to_html(report)
    check_peak(page, json.loads(to_json(report)))
    assert len(page) < PAGE_BYTES_MAX
    drawn = shown(page)
    assert ["Optimizer.step#AdamW.step", 1818, 6480, 0] in drawn["scopes"]
    assert [part[0] for part in drawn["parts"]] == ["forward", "backward", "optimizer"]


@given(allocators(), programs)
def test_what_is_drawn_is_never_below_nothing(allocator: CachingAllocator, program: list[tuple[Any, ...]]) -> None:
    perform(allocator, program)
    found = read_replayed(allocator.snapshot((2, 12)))
    if found is None or found.told.timeline is None:
        return
    (element,) = data([DeviceTimeline(device=0, kind=found.told.kind, timeline=found.told.timeline)])
    drawn = json.loads(element.text or "")
    for point in range(len(drawn["done"])):
        by_category, by_stack = held(drawn["category"], point), held(drawn["stack"], point)
        assert all(size >= 0 for size in (*by_category.values(), *by_stack.values()))
        assert sum(by_category.values()) == sum(by_stack.values()) <= drawn["reserved"][point]


def test_the_script_is_the_only_one_that_may_run(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--\u2028"
    allocator = CachingAllocator()
    allocator.tag = hostile
    frames: Frames = [{"filename": f"/{hostile}.py", "line": 1, "name": hostile}]
    allocator.free(allocator.alloc(MIB, frames=frames))
    page = to_html(report_of(allocator, tmp_path))
    scripts = re.findall(rb"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 2
    digest = b64encode(sha256(scripts[1]).digest())
    assert b"script-src 'sha256-" + digest + b"'" in page
    assert b"unsafe" not in page
    assert shown(page)["category"][0]["name"] == hostile
    assert not re.search(rb"https?://|src=|url\(", page)


def test_without_a_trace_there_is_no_script(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pickle"
    allocator = CachingAllocator()
    allocator.alloc(MIB)
    path.write_bytes(pickle.dumps(allocator.snapshot((2, 12)) | {"device_traces": [[]]}))
    assert b"<script" not in to_html(build_report(of_snapshot_file(path)))


def test_the_page_is_whole_without_its_script(tmp_path: Path) -> None:
    allocator = CachingAllocator()
    allocator.alloc(20 * MIB, frames=STACKS[1])
    allocator.free(allocator.alloc(40 * MIB, frames=STACKS[2]))
    page = to_html(report_of(allocator, tmp_path)).decode()
    before = page[: page.index("timeline-data")]
    assert "60.0 MiB allocated" in before
    assert "model2.py:2 forward" in before
    assert "Allocated memory over the steps of the allocator" in before


def test_a_timeline_of_many_changes_is_small_enough() -> None:
    points = 2 * STRETCHES

    def band(number: int) -> Band:
        every = tuple(range(points))
        return Band(
            name=f"category {number}",
            frames=(f"/app/a rather long path of a file/model{number}.py:{number} forward",) * 8,
            at=every,
            bytes=tuple((-1) ** at * (1 << 36) + (1 << 36) * (at == 0) for at in every),
            blocks=tuple((-1) ** at * 1000 for at in every),
        )

    found = read_replayed(_two_steps())
    assert found is not None
    assert found.told.timeline is not None
    few = found.told.timeline
    bands = tuple(band(number) for number in range(BANDS_MAX + 1))
    many = Timeline(**{name: getattr(few, name) for name in few.__struct_fields__} | _columns(few, bands, points))
    one = DeviceTimeline(device=0, kind="peak", timeline=many)
    (element,) = data([one])
    assert len(element.text or "") < 0.9 * PAGE_BYTES_MAX
    assert fitting(list(data([one, one, one]))) == 1, "what has no room is left out"


def _two_steps() -> dict[str, Any]:
    allocator = CachingAllocator()
    allocator.alloc(MIB, frames=STACKS[0])
    return allocator.snapshot((2, 12))


def _columns(few: Timeline, bands: tuple[Band, ...], points: int) -> dict[str, Any]:
    return {
        "done": tuple(range(0, 1000 * points, 1000)),
        "seconds": tuple(at + 0.123456 for at in range(points)),
        "reserved": (80 << 30,) * points,
        "by_category": bands,
        "by_stack": bands,
        "told": (few.told[-1],) * points,
    }


def test_bands_stand_in_one_order_and_neighbours_differ() -> None:
    def band(name: str, frames: tuple[str, ...] = (), parts: int = 1, moves: int = 1) -> Band:
        changes = (10, *((-5, 5) * moves))
        return Band(name=name, frames=frames, parts=parts, at=tuple(range(len(changes))), bytes=changes, blocks=changes)

    names = ["unknown", "ours", "activations", "", "parameters", "theirs"]
    in_order = categories([band(name, parts=3 if not name else 1) for name in names])
    assert [one.name for one in in_order] == [
        "parameters",
        "activations",
        "ours",
        "theirs",
        "unknown",
        "3 more categories",
    ]
    moving = [band("", (f"x.py:{moves} f",), moves=moves) for moves in (9, 1, 5)]
    seen = stacks([*moving, band("", parts=7), band("")])
    assert [one.name for one in seen] == ["x.py:1 f", "x.py:5 f", "x.py:9 f", "stack not recorded", "7 more stacks"]
    assert [one.colour for one in seen] == [*BANDS[:3], "none", "rest"]
    for looks in ([colour for colour, _ in CATEGORIES.values()][:7], list(BANDS)):
        assert all(one != other for one, other in pairwise(looks))


def test_names_fit_a_line() -> None:
    assert short_frame("/a/b/layers.py:52 attention") == "layers.py:52 attention"
    assert len(short_frame("at::" + "x" * 500)) == 72


def test_without_a_page_nobody_pays_for_it(tmp_path: Path) -> None:
    allocator = CachingAllocator()
    allocator.free(allocator.alloc(MIB, frames=STACKS[0]))
    with_page = report_of(allocator, tmp_path)
    figures = build_report(of_snapshot_file(tmp_path / "snapshot.pickle", parts="figures"))
    assert figures.told is not None
    assert figures.told.timeline is None
    assert to_json(figures) == to_json(with_page)


def of_several(count: int, steps: int) -> dict[str, Any]:
    """A snapshot of so many GPUs, each of which holds 10 MiB more than the one before it."""
    written: dict[str, Any] = {}
    for device in range(count):
        allocator = CachingAllocator()
        for step in range(steps):
            frames = STACKS[step % 4]
            allocator.free(allocator.alloc((10 * device + step % 7 + 1) * MIB, frames=frames), frames=frames)
        one = allocator.snapshot((2, 12), device=device)
        written = written or one
        if device:
            written["segments"] += one["segments"]
            written["device_traces"] += [one["device_traces"][device]]
    return written


def test_every_gpu_of_a_file_is_over_time_on_the_page(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(pickle.dumps(of_several(3, 7)))
    report = build_report(of_snapshot_file(path))
    page, told = to_html(report).decode(), json.loads(to_json(report))
    drawn = [json.loads(text) for text in re.findall(r'<script id="timeline-data[-0-9]*"[^>]*>(.*?)</script>', page)]
    assert [one["gpu"] for one in drawn] == ["GPU 2", "GPU 0", "GPU 1"], "the one that the report is about comes first"
    for one in drawn:
        (device,) = [device for device in told["devices"] if one["gpu"] == f"GPU {device['gpu']}"]
        assert sum(held(one["stack"], one["peak"]).values()) == device["peak"]["bytes"]
    assert page.count('class="still"') == 3


def test_the_page_of_sixteen_gpus_is_small_enough(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(pickle.dumps(of_several(17, 700)))
    page = to_html(build_report(of_snapshot_file(path)))
    assert len(re.findall(rb'<script id="timeline-data', page)) == 16
    assert len(page) < PAGE_BYTES_MAX


def test_gpus_without_room_are_counted() -> None:
    found = read_replayed(of_several(3, 3))
    assert found is not None
    assert found.told.timeline is not None
    first = DeviceTimeline(device=2, kind="peak", timeline=found.told.timeline)
    texts = [part.text or "" for part in section([first, found.others[0]], 1)]
    assert any(text.startswith("1 more GPU ") for text in texts)
