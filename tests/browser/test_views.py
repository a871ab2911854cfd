"""Every view of the dashboard, filled by the simulated machine."""

import gzip
import re

import pytest
from playwright.sync_api import expect

from blackbox.client import Client
from blackbox.model.visibility import WITHHELD
from blackbox.server.api.dashboard import STATIC
from tests.browser.conftest import VIEWS, OpenPage, is_wider_than_its_window, screenshot
from tests.running_server import RunningServer
from tests.waiting import until

FOCUSED_MAX = 400
"""Things on a page that the keyboard reaches: fewer."""
PAGE_BYTES_MAX = 150_000
"""Compressed, all files: read in a moment on a slow link."""


CUT_FIGURES = """[...document.querySelectorAll('.ledger .seg')].flatMap(part => {
  const box = part.getBoundingClientRect(), range = document.createRange();
  return [...part.childNodes].filter(node => node.textContent !== '').filter(node => {
    range.selectNodeContents(node);
    const text = range.getBoundingClientRect();
    return text.top < box.bottom - 1 && (text.left < box.left - 1 || text.right > box.right + 1);
  }).map(node => node.textContent);
})"""
"""Words in bars of which a part can be seen."""


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_filled_in_both_colours_and_on_a_phone_and_says_that_it_is_a_demo(
    open_page: OpenPage, demo: RunningServer, view: str
) -> None:
    page = open_page(f"{demo.url}/#/{view}")
    expect(page.locator(VIEWS[view]).first).to_be_visible()
    expect(page.get_by_text("DEMO", exact=True)).to_be_visible()
    assert page.title().startswith("DEMO · ")
    expect(page.get_by_role("navigation", name="views").locator("[aria-current=page]")).to_contain_text(view.title())
    assert not is_wider_than_its_window(page)
    screenshot(page, f"{view}-light")
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    screenshot(page, f"{view}-dark")
    page.set_viewport_size({"width": 380, "height": 800})
    expect(page.locator(VIEWS[view]).first).to_be_visible()
    assert not is_wider_than_its_window(page)
    assert page.evaluate(CUT_FIGURES) == []
    screenshot(page, f"{view}-phone")


def test_a_dump_whose_size_is_not_told_is_not_of_no_size(open_page: OpenPage, demo: RunningServer) -> None:
    client = Client(demo.url)
    until(lambda: client.dumps(), "the demo's first dump is written")
    page = open_page(f"{demo.url}/#/incidents")
    kept = page.locator("section").filter(has_text="Dumps kept")
    expect(kept.get_by_role("note").first).to_have_attribute("title", WITHHELD)
    expect(kept.get_by_text("0 B", exact=True)).to_have_count(0)


def test_the_page_is_small() -> None:
    sizes = [len(gzip.compress(path.read_bytes())) for path in STATIC.iterdir() if path.suffix != ".gz"]
    assert 0 < sum(sizes) <= PAGE_BYTES_MAX


def test_the_ledger_of_the_page_is_that_of_the_server(open_page: OpenPage, demo: RunningServer) -> None:
    page = open_page(f"{demo.url}/#/overview")
    label = page.locator(".gpu .ledger").first.get_attribute("aria-label")
    assert label is not None
    assert label.startswith("GPU 0, 79.6 GiB: ")
    for word in ("weights", "KV cache in use", "not measured", "free on GPU", "driver"):
        assert word in label


def test_before_the_script_has_run_there_is_a_head_and_then_one_page(open_page: OpenPage, demo: RunningServer) -> None:
    assert '<span class="brand">Blackbox</span>' in (STATIC / "index.html").read_text()
    page = open_page(f"{demo.url}/#/overview")
    expect(page.locator(".clock")).to_be_visible()
    expect(page.locator("header.top")).to_have_count(1)


WATCH_TITLE = """() => { window.titles = 0;
  const seen = new MutationObserver(found => { window.titles += found.length });
  seen.observe(document.querySelector('title'), { childList: true });
}"""


def test_a_sample_changes_what_it_tells_of_and_nothing_else(open_page: OpenPage, demo: RunningServer) -> None:
    page = open_page(f"{demo.url}/#/overview")
    bar = page.get_by_role("img", name="GPU 1, 79.6 GiB: ")
    driver = bar.locator(".seg").last
    expect(driver).to_be_visible()
    driver.evaluate("part => { part.id = 'kept' }")
    page.evaluate(WATCH_TITLE)
    parts = bar.locator(".seg").count()
    expect(bar.locator(".seg")).not_to_have_count(parts)  # its gradients are there in a part of each step
    expect(page.locator("#kept")).to_have_attribute("title", re.compile("^driver"))
    assert page.evaluate("window.titles") == 0


def test_keys_lead_through_the_page(open_page: OpenPage, demo: RunningServer) -> None:
    page = open_page(f"{demo.url}/#/overview")
    expect(page.locator(".clock")).to_contain_text("LIVE")
    page.keyboard.press("3")
    expect(page.locator(".chart").first).to_be_visible()
    page.keyboard.press("Space")
    expect(page.locator(".clock")).to_contain_text("PAST")
    expect(page).to_have_url(re.compile("t="))
    page.keyboard.press("l")
    expect(page.locator(".clock")).to_contain_text("LIVE")
    page.keyboard.press("4")
    expect(page.locator("tbody tr").nth(3)).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("filter")).to_be_focused()
    page.keyboard.type("triton")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("q=triton"))
    page.keyboard.press("Escape")
    expect(page.locator("tbody tr").nth(3)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="keys")).to_be_visible()


REGIONS = ("a.skip", "header.top", ".strip", ".bar.past", "main", "footer")
FOCUSED = """regions => {
  const one = document.activeElement, within = regions.findIndex(region => one.closest(region) !== null);
  return [within, getComputedStyle(one).outlineStyle, one.outerHTML.slice(0, 120)];
}"""


@pytest.mark.parametrize("view", VIEWS)
def test_tab_leads_from_the_head_to_the_foot_and_shows_where_it_is(
    open_page: OpenPage, demo: RunningServer, view: str
) -> None:
    page = open_page(f"{demo.url}/#/{view}")
    expect(page.locator(VIEWS[view]).first).to_be_visible()
    page.keyboard.press("Space")  # what is looked at stays
    expect(page.locator(".clock")).to_contain_text("PAST")
    page.keyboard.press("Tab")
    expect(page.locator("a.skip")).to_be_focused()
    seen: list[int] = []
    for _ in range(FOCUSED_MAX):
        region, outline, element = page.evaluate(FOCUSED, REGIONS)
        if seen and region in (0, -1):
            break  # behind the last one comes the browser, then the first
        assert outline != "none", element
        seen.append(region)
        page.keyboard.press("Tab")
    assert seen == sorted(seen)
    assert set(range(REGIONS.index("main") + 1)) <= set(seen)


def test_an_address_shows_the_same_again(open_page: OpenPage, demo: RunningServer) -> None:
    page = open_page(f"{demo.url}/#/processes?q=python&kind=compute")
    expect(page.locator("tbody tr").first).to_contain_text("python")
    first = page.locator("tbody tr").first.inner_text()
    again = open_page(page.url)
    expect(again.get_by_label("filter")).to_have_value("python")
    expect(again.locator("tbody tr").first).to_contain_text(first.split()[0])


def test_rows_hold_still_while_numbers_change(open_page: OpenPage, demo: RunningServer) -> None:
    page = open_page(f"{demo.url}/#/processes")
    expect(page.locator("tbody tr").nth(3)).to_be_visible()
    page.get_by_role("button", name="used GiB").click()

    def pids() -> list[str]:
        return page.locator("tbody tr:not(.inner):not(.gone) td:first-child").all_inner_texts()

    before, clock = pids(), page.locator(".clock").inner_text()
    expect(page.locator(".clock")).not_to_have_text(clock)
    expect(page.locator(".clock")).to_contain_text("LIVE")
    assert pids() == before


def test_a_block_is_found_under_the_pointer_and_pinned(open_page: OpenPage, demo: RunningServer) -> None:
    page = open_page(f"{demo.url}/#/map?gpu=GPU-51301a7e-d000-4000-8000-000000000001")
    picture = page.get_by_role("application")
    expect(picture).to_be_visible()
    picture.hover(position={"x": 120, "y": 4})
    expect(page.locator(".card-hover")).to_contain_text("weights")
    picture.click(position={"x": 120, "y": 4})
    expect(page.get_by_role("heading", name="Block")).to_be_visible()
    page.get_by_role("button", name="zoom in").click()
    expect(page.get_by_role("button", name="zoom out")).to_be_enabled()
    picture.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="Block")).to_contain_text("pinned")


def test_dragging_the_strip_leads_into_the_past(open_page: OpenPage, demo: RunningServer) -> None:
    page = open_page(f"{demo.url}/#/overview")
    expect(page.locator(".clock")).to_contain_text("LIVE")
    strip = page.get_by_role("slider", name="time looked at")
    box = strip.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.999, box["y"] + 20)
    expect(page.locator(".clock")).to_contain_text("PAST")
    expect(page.get_by_role("status")).to_contain_text("Showing")
    page.get_by_role("button", name="Back to live").click()
    expect(page.locator(".clock")).to_contain_text("LIVE")
