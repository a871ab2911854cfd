"""What the page shows of a file that is replayed: a dump of an out-of-memory, and a memory snapshot of PyTorch."""

import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from blackbox.cli import main
from tests import incidents
from tests.browser.conftest import VIEWS, OpenPage, screenshot
from tests.caching_allocator import MIB, CachingAllocator
from tests.recordings import recorded
from tests.running_server import RunningServer
from tests.traced_programs import STACKS
from tests.waiting import until

STALE = "503"
"""What `/healthz` answers of a replay that is over."""
AT_ONCE = ("--speed", "10000")


@contextmanager
def replayed(path: Path, home: Path) -> Iterator[RunningServer]:
    """A server that has played all of a file."""
    with RunningServer(home, "--replay", str(path), *AT_ONCE) as server:
        until(lambda: re.search(r"is over after \d+ moments", server.log), lambda: server.log)
        yield server


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that has played a dump of an out-of-memory."""
    home = tmp_path_factory.mktemp("replayed")
    lived = incidents.leak()[::3] + incidents.leak()[-3:]  # often enough that no reading is too old for its time
    with recorded(home / "data", lived):
        pass
    dump = home / "incident.bbdump"
    assert main(["dump", "--data-dir", str(home / "data"), "-o", str(dump)]) == 0
    with replayed(dump, home) as server:
        yield server


def choose(page: Page, view: str) -> None:
    page.get_by_role("navigation", name="views").get_by_role("link", name=view).click()


def test_a_refusal_leads_to_its_moment_its_map_and_the_minutes_before_in_three_clicks(
    open_page: OpenPage, refused: RunningServer
) -> None:
    page = open_page(refused.url, expected=STALE)
    expect(page.get_by_text("Replay of incident.bbdump")).to_be_visible()
    expect(page.get_by_text("REPLAY", exact=True)).to_be_visible()
    expect(page.get_by_text("LIVE", exact=True)).to_have_count(0)
    choose(page, "Incidents")
    expect(page.get_by_role("heading", level=1)).to_contain_text("48211 ran out of memory: it asked for")
    page.get_by_role("link", name="1 The moment").click()
    expect(page.get_by_role("heading", name="Why it was refused")).to_be_visible()
    expect(page.locator("tbody tr").filter(has_text="layers.py:52 attention").first).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="2 Map then").click()
    expect(page.get_by_role("application")).to_be_visible()
    expect(page.locator(".sums")).to_contain_text("activations")
    expect(page.get_by_text(re.compile("fits neither the largest piece nor what is free"))).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="3 Compare with").click()
    expect(page.get_by_text(re.compile("python 48211 took"))).to_be_visible()
    expect(page.locator("tbody tr").filter(has_text="layers.py:52 attention").first).to_contain_text("GREW")
    expect(page.locator(".overlay canvas").first).to_be_visible()


def test_the_rise_before_it_is_seen_by_stack(open_page: OpenPage, refused: RunningServer) -> None:
    page = open_page(f"{refused.url}/#/timeline?bands=stack&range=all", expected=STALE)
    expect(page.get_by_text(re.compile(r"by stack, at \d+ moments"))).to_be_visible()
    readings = page.get_by_role("complementary")
    expect(readings.get_by_text("layers.py:52 attention").first).to_be_visible()
    brush = page.get_by_role("slider", name="range shown")
    brush.scroll_into_view_if_needed()
    box = brush.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.999, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 10, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=\d+.*to=\d+"))
    screenshot(page, "timeline-stacks")


def test_a_pytorch_snapshot_is_looked_at_likewise(
    open_page: OpenPage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("pickle")
    allocator = CachingAllocator()
    allocator.alloc(20 * MIB, frames=STACKS[0])
    for _ in range(6):
        allocator.free(allocator.alloc(40 * MIB, frames=STACKS[1]))
        allocator.alloc(30 * MIB, frames=STACKS[0])
    path = home / "snapshot.pickle"
    path.write_bytes(pickle.dumps(allocator.snapshot((2, 12))))
    with replayed(path, home) as server:
        page = open_page(f"{server.url}/#/map?colour=stack", expected=STALE)
        expect(page.get_by_text("Replay of snapshot.pickle")).to_be_visible()
        expect(page.locator(".sums")).to_contain_text("/app/model0.py:0 forward")
        page.get_by_role("application").hover(position={"x": 60, "y": 4})
        expect(page.locator(".card-hover")).to_contain_text("/app/model0.py:0 forward")
        screenshot(page, "map-pickle")
        choose(page, "Moment")
        expect(page.locator("tbody tr").filter(has_text="/app/model0.py:0 forward").first).to_be_visible()
        for view in VIEWS:
            page.goto(f"{server.url}/#/{view}")
            expect(page.locator("main, .empty").first).to_be_visible()
            assert "NaN" not in page.inner_text("body")
            assert "undefined" not in page.inner_text("body")
        page.context.close()  # before its server goes
