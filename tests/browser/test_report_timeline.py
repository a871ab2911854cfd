"""The page of a snapshot in a real browser: the timeline answers pointer and keys, and is readable on a phone."""

import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from blackbox.report import build_report, to_html, to_json
from blackbox.report.comparison import compare_files
from blackbox.report.comparison_page import comparison_page
from blackbox.report.origins import of_snapshot_file
from tests import genuine
from tests.caching_allocator import MIB, CachingAllocator, RefusedError
from tests.tools import tool
from tests.traced_programs import STACKS

playwright: Any = pytest.importorskip("playwright.sync_api", reason="no playwright (pip install playwright)")
PHONE, DESK = 390, 1100


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    program = tool("chromium", "chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class OpenPage:
    """A report, open; whatever the browser complained of."""

    def __init__(self, chromium: Any, path: Path, width: int, chart: str = "#timeline") -> None:
        self.page = chromium.new_context(viewport={"width": width, "height": 900}).new_page()
        self.problems: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self._request(request.url))
        self.page.goto(path.as_uri())
        self.plot = self.page.locator(f"{chart} .plot")
        self.box = self.plot.bounding_box()

    def _request(self, url: str) -> None:
        if not url.startswith("file:"):
            self.problems.append(f"it asks for {url}")

    def place(self, across: float, down: float = 0.5) -> tuple[float, float]:
        return self.box["x"] + self.box["width"] * across, self.box["y"] + self.box["height"] * down

    def pinned(self) -> int:
        return int(self.page.locator("#pinned p").first.get_attribute("data-bytes"))

    def card(self) -> str:
        return cast(str, self.page.locator(".over-time .card").inner_text())


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


def test_hover_click_zoom_and_keys(chromium: Any, refused: tuple[Path, dict[str, Any]]) -> None:
    path, told = refused
    opened = OpenPage(chromium, path, DESK)
    page = opened.page
    assert opened.pinned() == told["refusals"][0]["allocated_bytes"]

    page.mouse.move(*opened.place(0.5, 0.75))
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
    assert opened.problems == []


def test_bands_are_by_purpose_or_by_stack(chromium: Any, refused: tuple[Path, dict[str, Any]]) -> None:
    opened = OpenPage(chromium, refused[0], DESK)
    page, legend = opened.page, opened.page.locator("#timeline .legend")
    assert "activations" in legend.inner_text() or "unknown" in legend.inner_text()
    page.get_by_role("button", name="stack").click()
    assert "model2.py:2 forward" in legend.inner_text()
    page.get_by_role("button", name="time").click()
    page.mouse.move(*opened.place(0.6, 0.8))
    assert "ms" in opened.card()
    assert opened.problems == []


def test_readable_on_a_phone(chromium: Any, refused: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    opened = OpenPage(chromium, refused[0], PHONE)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == PHONE
    opened.page.mouse.click(*opened.place(0.5))
    card, plot = opened.page.locator("#timeline .card").bounding_box(), opened.box
    assert card["y"] >= plot["y"] + plot["height"], "it covers nothing"
    opened.page.screenshot(path=tmp_path / "phone.png")
    assert opened.problems == []


def test_without_scripts_the_picture_and_the_tables_stand(chromium: Any, refused: tuple[Path, dict[str, Any]]) -> None:
    page = chromium.new_context(java_script_enabled=False).new_page()
    page.goto(refused[0].as_uri())
    assert page.locator("#timeline svg").is_visible()
    assert "MiB allocated" in page.locator("#pinned").inner_text()


def test_two_runs_on_one_axis(chromium: Any, tmp_path: Path) -> None:
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
        opened = OpenPage(chromium, path, width, "#compare")
        opened.page.mouse.move(*opened.place(0.3))
        assert "B − A" in opened.card()
        opened.page.mouse.click(*opened.place(0.999))
        assert opened.page.locator("#pinned p").first.get_attribute("data-bytes") == f"null {250 * MIB}"
        assert "had ended" in opened.page.locator("#pinned").inner_text()
        assert opened.page.evaluate("document.documentElement.scrollWidth") == width
        assert opened.problems == []


def test_a_genuine_file(chromium: Any, tmp_path: Path) -> None:
    report = build_report(of_snapshot_file(genuine.sample("torch-memory-snapshot-user-metadata.pickle")))
    path = tmp_path / "page.html"
    path.write_bytes(to_html(report))
    opened = OpenPage(chromium, path, DESK)
    opened.plot.focus()
    opened.page.keyboard.press("p")
    assert opened.pinned() == json.loads(to_json(report))["peak"]["bytes"]
    assert opened.page.evaluate("document.documentElement.scrollWidth") == DESK
    assert opened.problems == []
