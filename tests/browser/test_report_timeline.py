"""The page of a snapshot in a real browser: the timeline answers pointer and keys, and is readable on a phone."""

import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from blackbox.model import text
from blackbox.report import build_report, to_html, to_json
from blackbox.report.comparison import compare_files
from blackbox.report.comparison_page import comparison_page
from blackbox.report.snapshot_file import of_snapshot_file
from tests import genuine
from tests.browser.conftest import OpenPage, screenshot
from tests.caching_allocator import MIB, CachingAllocator, RefusedError
from tests.traced_programs import STACKS

PHONE, DESK = 390, 1100


class Chart:
    """A page of a report, open, and its chart."""

    def __init__(self, page: Page, chart: str = "#timeline") -> None:
        self.page = page
        self.plot = page.locator(f"{chart} .plot")
        box = self.plot.bounding_box()
        assert box is not None
        self.box = box

    def place(self, across: float, down: float = 0.5) -> tuple[float, float]:
        return self.box["x"] + self.box["width"] * across, self.box["y"] + self.box["height"] * down

    def pinned(self) -> int:
        return int(self.page.locator("#pinned p").first.get_attribute("data-bytes") or -1)

    def card(self) -> str:
        return self.page.locator(".over-time .card").inner_text()


def steps_told(text: str) -> int:
    found = re.search(r"step (\d+) of", text)
    assert found is not None
    return int(found[1])


def leak() -> CachingAllocator:
    allocator = CachingAllocator(400 * MIB)
    for place in range(9):
        allocator.alloc(20 * MIB, frames=STACKS[1])
        batch = allocator.alloc(60 * MIB, frames=STACKS[2])
        if place < 8:
            allocator.free(batch, frames=STACKS[2])
    with pytest.raises(RefusedError):
        allocator.alloc(300 * MIB, frames=STACKS[3])
    allocator.free(batch)
    return allocator


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A page, and the same report for programs."""
    folder = tmp_path_factory.mktemp("page")
    snapshot = folder / "snapshot.pickle"
    snapshot.write_bytes(pickle.dumps(leak().snapshot((2, 12))))
    report = build_report(of_snapshot_file(snapshot))
    page = folder / "page.html"
    page.write_bytes(to_html(report))
    return page, json.loads(to_json(report))


def test_hover_click_zoom_and_keys(open_page: OpenPage, refused: tuple[Path, dict[str, Any]]) -> None:
    path, told = refused
    opened = Chart(open_page(path.as_uri(), width=DESK))
    page = opened.page
    assert opened.pinned() == told["refusals"][0]["allocated_bytes"]

    page.mouse.move(*opened.place(0.5, 0.75))
    screenshot(page, "report-timeline")
    card = opened.card()
    assert "step" in card
    assert "allocated" in card

    page.mouse.click(*opened.place(0.3, 0.75))
    assert opened.pinned() < told["peak"]["bytes"]
    assert page.locator("#pinned table").count() == 2
    shown = [row.inner_text() for row in page.locator("#pinned table").nth(1).locator("tbody tr").all()]
    assert any("model1.py:1 forward" in row for row in shown)

    opened.plot.focus()
    page.keyboard.press("p")
    assert opened.pinned() == told["peak"]["bytes"]
    assert "the peak" in page.locator("#pinned p").first.inner_text()
    page.keyboard.press("r")
    assert steps_told(page.locator("#pinned p").first.inner_text()) == told["refusals"][0]["step"] + 1
    page.keyboard.press("ArrowLeft")
    assert steps_told(page.locator("#pinned p").first.inner_text()) == told["refusals"][0]["step"]

    page.mouse.move(*opened.place(0.1))
    page.mouse.down()
    page.mouse.move(*opened.place(0.3))
    page.mouse.up()
    page.mouse.move(*opened.place(0.95))
    zoomed = steps_told(opened.card())
    page.mouse.dblclick(*opened.place(0.95))
    page.mouse.move(*opened.place(0.94))
    assert zoomed < steps_told(opened.card())


def test_the_page_rounds_sizes_as_the_text_does(open_page: OpenPage, refused: tuple[Path, dict[str, Any]]) -> None:
    page = open_page(refused[0].as_uri(), width=DESK, bypass_csp=True)
    counts = [*range(0, 4 * MIB, 12_800), *(place * MIB // 4 for place in range(1000, 1040)), 5 << 40, 1023, 1024]
    assert page.evaluate("counts => counts.map(size)", counts) == [text.size(count) for count in counts]


def test_bands_are_by_purpose_or_by_stack(open_page: OpenPage, refused: tuple[Path, dict[str, Any]]) -> None:
    opened = Chart(open_page(refused[0].as_uri(), width=DESK))
    page, legend = opened.page, opened.page.locator("#timeline .legend")
    assert "activations" in legend.inner_text() or "unknown" in legend.inner_text()
    page.get_by_role("button", name="stack").click()
    assert "model2.py:2 forward" in legend.inner_text()
    page.get_by_role("button", name="time").click()
    page.mouse.move(*opened.place(0.6, 0.8))
    assert "ms" in opened.card()


def test_readable_on_a_phone(open_page: OpenPage, refused: tuple[Path, dict[str, Any]]) -> None:
    opened = Chart(open_page(refused[0].as_uri(), width=PHONE))
    assert opened.page.evaluate("document.documentElement.scrollWidth") == PHONE
    opened.page.mouse.click(*opened.place(0.5))
    card, plot = opened.page.locator("#timeline .card").bounding_box(), opened.box
    assert card is not None
    assert card["y"] >= plot["y"] + plot["height"], "it covers nothing"
    screenshot(opened.page, "report-phone")


def test_without_scripts_the_picture_and_the_tables_stand(
    browser: Browser, refused: tuple[Path, dict[str, Any]]
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(refused[0].as_uri())
    assert page.locator("#timeline svg").is_visible()
    assert "MiB allocated" in page.locator("#pinned").inner_text()
    context.close()


def test_two_runs_on_one_axis(open_page: OpenPage, tmp_path: Path) -> None:
    files: list[Path] = []
    for size in (30, 50):
        allocator = CachingAllocator()
        for _ in range(size // 10):
            allocator.alloc(size * MIB, frames=STACKS[1])
        files.append(tmp_path / f"{size}.pickle")
        files[-1].write_bytes(pickle.dumps(allocator.snapshot((2, 12))))
    path = tmp_path / "page.html"
    path.write_bytes(comparison_page(compare_files(*files)))
    for width in (DESK, PHONE):
        opened = Chart(open_page(path.as_uri(), width=width), "#compare")
        opened.page.mouse.move(*opened.place(0.3))
        assert "B − A" in opened.card()
        opened.page.mouse.click(*opened.place(0.999))
        assert opened.page.locator("#pinned p").first.get_attribute("data-bytes") == f"null {250 * MIB}"
        assert "had ended" in opened.page.locator("#pinned").inner_text()
        assert opened.page.evaluate("document.documentElement.scrollWidth") == width


def test_a_genuine_file(open_page: OpenPage, tmp_path: Path) -> None:
    report = build_report(of_snapshot_file(genuine.sample("torch-memory-snapshot-user-metadata.pickle")))
    path = tmp_path / "page.html"
    path.write_bytes(to_html(report))
    opened = Chart(open_page(path.as_uri(), width=DESK))
    opened.plot.focus()
    opened.page.keyboard.press("p")
    assert opened.pinned() == json.loads(to_json(report))["peak"]["bytes"]
    assert opened.page.evaluate("document.documentElement.scrollWidth") == DESK


def test_a_control_chooses_the_gpu(open_page: OpenPage, tmp_path: Path) -> None:
    written = leak().snapshot((2, 12))
    other = CachingAllocator()
    other.alloc(30 * MIB, frames=STACKS[0])
    second = other.snapshot((2, 12), device=1)
    written["segments"] += second["segments"]
    written["device_traces"] += [second["device_traces"][1]]
    snapshot, path = tmp_path / "snapshot.pickle", tmp_path / "page.html"
    snapshot.write_bytes(pickle.dumps(written))
    path.write_bytes(to_html(build_report(of_snapshot_file(snapshot))))
    for width in (DESK, PHONE):
        opened = Chart(open_page(path.as_uri(), width=width))
        page = opened.page
        refused = opened.pinned()
        assert page.locator("#finding").inner_text().startswith("GPU 0: ")
        page.get_by_label("GPU", exact=True).select_option("GPU 1")
        assert opened.pinned() == 30 * MIB
        assert page.locator("#finding").inner_text().startswith("GPU 1: ")
        assert page.locator("#timeline canvas").count() == 2, "nothing of the other is left"
        screenshot(page, f"report-gpus-{width}")
        chart = Chart(page)
        page.mouse.move(*chart.place(0.9, 0.75))
        assert "30.0 MiB" in chart.card()
        page.get_by_label("GPU", exact=True).select_option("GPU 0")
        assert opened.pinned() == refused
        assert page.evaluate("document.documentElement.scrollWidth") == width
