"""What the page shows of an out-of-memory, and of a machine that tells next to nothing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from blackbox.client import Client
from blackbox.model.moment import Moment
from blackbox.recorder import Recording
from tests import incidents, moments
from tests.browser.conftest import VIEWS, OpenPage, assert_open_to_all, is_wider_than_its_window, screenshot
from tests.recordings import recorded
from tests.serving import Serving

STALE = "503"
"""What `/healthz` answers where the newest sample is old, as here it is."""
NO_RECORDING = "404|503"
"""Likewise, where the server also keeps no recording."""
SECONDS_BEFORE = 50


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server whose recording ends with a refusal, and whose newest sample is the last of it."""
    directory = tmp_path_factory.mktemp("refused")
    lived = incidents.leak()[::2] + incidents.leak()[-3:]
    with recorded(directory, lived):
        pass
    with Serving(recording=Recording(directory)) as serving:
        serving.hub.publish(lived[-1])
        yield serving


@pytest.fixture(scope="module")
def filling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server some seconds before the refusal."""
    directory = tmp_path_factory.mktemp("filling")
    lived = incidents.leak()[: -2 * SECONDS_BEFORE]
    with recorded(directory, lived):
        pass
    with Serving(recording=Recording(directory)) as serving:
        serving.hub.publish(lived[-1])
        yield serving


def test_what_fills_is_told_first_with_who_and_what_for(open_page: OpenPage, filling: Serving) -> None:
    page = open_page(f"{filling.url}/#/overview", width=1280, height=720, expected=STALE)
    verdict = page.get_by_role("alert", name="verdict")
    expect(verdict.get_by_role("heading", level=1)).to_contain_text("GPU 2 / MIG 1 is full in about")
    expect(verdict).to_contain_text("python 48211")
    expect(verdict).to_contain_text("activations")
    expect(verdict).to_contain_text("layers.py:52 attention")
    expect(verdict).to_contain_text("Nobody else is on this slice")
    screenshot(page, "overview")
    page.emulate_media(color_scheme="dark")
    screenshot(page, "overview-fills-dark")
    page.emulate_media(color_scheme="light")
    page.get_by_role("link", name="What grew").click()
    expect(page.locator("tbody tr").filter(has_text="layers.py:52 attention").first).to_contain_text("GREW")
    page.goto(f"{filling.url}/#/timeline")
    expect(page.locator(".chart canvas").first).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("MIG 1: .* used at the end"))).to_be_visible()
    screenshot(page, "timeline")


BROKEN_FIGURES = """[...document.querySelectorAll('td.num b')]
  .filter(figure => figure.getClientRects().length > 1).map(figure => figure.textContent)"""
"""Those that stand on two lines."""


def test_on_a_phone_the_verdict_carries_its_bar_figures_stay_whole_and_no_keys_are_told(
    open_page: OpenPage, filling: Serving
) -> None:
    page = open_page(f"{filling.url}/#/overview", width=380, height=800, expected=STALE)
    verdict = page.get_by_role("alert", name="verdict")
    expect(verdict.get_by_role("img", name="GPU 2 / MIG 1, 39.5 GiB: ")).to_be_visible()
    expect(page.locator("kbd").first).to_be_hidden()
    for view in ("compare", "processes", "moment"):
        page.goto(f"{filling.url}/#/{view}?a={incidents.leak()[0].timestamp + 5}")
        expect(page.locator("tbody tr").first).to_be_visible()
        expect(page.locator("nav [aria-current=page]")).to_be_in_viewport(ratio=1)
        assert page.evaluate(BROKEN_FIGURES) == []
    page.goto(f"{filling.url}/#/processes")
    expect(page.get_by_role("columnheader", name="used GiB")).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{filling.url}/#/overview")
    expect(verdict.locator(".ledger")).to_be_hidden()


FLAT_SECONDS = 60


def flat(second: int) -> Moment:
    """Of a machine on which nothing grows, and no program tells what is inside."""
    rows = [moments.process(1, used_bytes=10 * moments.GIB), moments.process(2, used_bytes=5 * moments.GIB)]
    part = moments.sample([moments.device(memory=moments.memory(used=20 * moments.GIB))], rows)
    return moments.moment(part, seq=second + 1, timestamp=moments.TIMESTAMP + second)


def test_with_nothing_wrong_it_says_so_in_one_line(open_page: OpenPage, tmp_path: Path) -> None:
    with recorded(tmp_path, map(flat, range(FLAT_SECONDS))):
        pass
    with Serving(recording=Recording(tmp_path)) as serving:
        serving.hub.publish(flat(FLAT_SECONDS))
        page = open_page(f"{serving.url}/#/overview", width=1280, height=720, expected=STALE)
        calm = page.locator(".calm")
        expect(calm).to_have_text("1 GPU, no trend fills it. Highest: GPU 0, 20.0 of 80.0 GiB, flat.")
        lines = "line => { const all = document.createRange(); all.selectNodeContents(line);"
        assert calm.evaluate(lines + " return new Set([...all.getClientRects()].map(box => box.bottom)).size }") == 1
        expect(page.get_by_role("alert")).to_have_count(0)
        page.goto(f"{serving.url}/#/map")
        expect(page.get_by_text("no allocator reports from these processes. Start them with")).to_be_visible()
        page.goto(f"{serving.url}/#/processes")
        expect(page.get_by_role("contentinfo")).to_contain_text("2 of 2 processes on 1 GPU, 0 gone")
        page.context.close()  # before its server goes


def test_the_verdict_tells_what_was_taken_since_the_time_it_names(open_page: OpenPage, filling: Serving) -> None:
    page = open_page(f"{filling.url}/#/overview", expected=STALE)
    grew = page.get_by_role("alert", name="verdict").locator("dl > div").first
    expect(grew).to_contain_text(re.compile(r"\+\d+\.\d GiB since then"))


def test_the_verdict_says_what_helps_where_the_same_happened_before(open_page: OpenPage, filling: Serving) -> None:
    soonest = Client(filling.url).forecast().processes[0]
    at = incidents.leak()[0].timestamp - 60
    refused = {"id": 7, "kind": "oom", "timestamp": at, "message": "", "gpu_uuid": soonest.gpu_uuid, "pid": 1}
    advice = [
        {"title": "Let go of the activations", "text": "Something keeps a reference.", "bytes": 34127338496},
        {"title": "Ask for less", "text": "", "bytes": None},
    ]
    page = open_page(f"{filling.url}/#/health", expected=STALE)
    page.route("**/vram/events?*", lambda route: route.fulfill(json={"events": [refused]}))
    page.route("**/vram/report?*", lambda route: route.fulfill(json={"causes": [], "advice": advice}))
    page.goto(f"{filling.url}/#/overview")
    page.reload()
    told = page.get_by_role("alert", name="verdict").get_by_text("What helps:").locator("..")
    expect(told).to_contain_text(
        re.compile(r"the report says: Let go of the activations \(31\.8 GiB\)\. Something keeps")
    )
    expect(told).to_contain_text("Or: ask for less.")


def test_a_key_that_leads_to_a_view_leads_the_focus_into_it(open_page: OpenPage, filling: Serving) -> None:
    page = open_page(f"{filling.url}/#/overview", expected=STALE)
    page.get_by_role("link", name="What grew").focus()
    for key in (*range(2, len(VIEWS) + 1), 1):
        page.keyboard.press(str(key))
        expect(page.locator("#content")).to_be_focused()
    page.keyboard.press("4")
    page.keyboard.press("Tab")
    expect(page.get_by_placeholder("name, pid, user, container")).to_be_focused()


CHOSEN_AND_ANOTHER = """[...document.querySelectorAll('.chips button')].slice(0, 2)
  .map(one => getComputedStyle(one).backgroundColor)"""


def test_what_is_chosen_is_seen_in_the_colours_that_a_user_forces(open_page: OpenPage, filling: Serving) -> None:
    page = open_page(f"{filling.url}/#/map", expected=STALE)
    page.emulate_media(forced_colors="active")
    expect(page.locator(".chips button[aria-pressed=true]").first).to_be_visible()
    first, second = page.evaluate(CHOSEN_AND_ANOTHER)
    assert first != second


def test_three_clicks_lead_from_an_incident_to_its_moment_its_map_and_the_comparison(
    open_page: OpenPage, refused: Serving
) -> None:
    page = open_page(f"{refused.url}/#/incidents", expected=STALE)
    expect(page.get_by_role("heading", level=1)).to_contain_text("48211 ran out of memory: it asked for")
    expect(page.get_by_text("largest hole in its cache")).to_be_visible()
    expect(page.get_by_role("heading", name="What would have helped")).to_be_visible()
    screenshot(page, "incident")
    address = page.url
    page.get_by_role("link", name="1 The moment").click()
    expect(page.locator("tbody tr").filter(has_text="layers.py:52 attention").first).to_be_visible()
    expect(page.get_by_role("heading", name="Why it was refused")).to_be_visible()
    screenshot(page, "moment-refused")
    page.goto(address)
    page.get_by_role("link", name="2 Map then").click()
    expect(page.get_by_role("application")).to_be_visible()
    expect(page.get_by_role("heading", name="Holes")).to_be_visible()
    screenshot(page, "map-refused")
    page.goto(address)
    page.get_by_role("link", name="3 Compare with").click()
    expect(page.get_by_text(re.compile("python 48211 took"))).to_be_visible()
    expect(page.locator("tbody tr").filter(has_text="layers.py:52 attention").first).to_contain_text("GREW")
    expect(page.locator(".overlay canvas").first).to_be_visible()
    screenshot(page, "compare-refused")


def test_an_incident_that_is_read_stays_in_the_address_and_keys_lead_on_from_it(
    open_page: OpenPage, refused: Serving
) -> None:
    page = open_page(f"{refused.url}/#/incidents", expected=STALE)
    title = page.get_by_role("heading", level=1)
    expect(title).to_contain_text("48211 ran out of memory")
    expect(page).to_have_url(re.compile(r"id=\d+"))
    page.keyboard.press("m")
    expect(page.get_by_role("heading", name="Why it was refused")).to_be_visible()
    page.go_back()
    expect(title).to_contain_text("48211 ran out of memory")
    page.keyboard.press("c")
    expect(page.get_by_text(re.compile("python 48211 took"))).to_be_visible()


def test_what_nobody_measured_is_not_available_with_its_reason(open_page: OpenPage) -> None:
    with Serving() as serving:
        serving.publish()
        page = open_page(f"{serving.url}/#/processes", expected=NO_RECORDING)
        absent = page.locator("tbody .na").first
        expect(absent).to_be_visible()
        assert absent.get_attribute("title")
        for view in ("overview", "map", "moment", "health", "timeline", "incidents", "compare"):
            page.goto(f"{serving.url}/#/{view}")
            expect(page.locator("main, .empty").first).to_be_visible()
            assert "NaN" not in page.inner_text("body")
            assert "undefined" not in page.inner_text("body")
            assert "none has a trend" not in page.inner_text("body")  # without a recording nobody can tell
            screenshot(page, f"absent-{view}")
        page.context.close()  # before its server goes


def test_a_machine_without_gpus_says_so(open_page: OpenPage) -> None:
    with Serving() as serving:
        serving.hub.publish(moments.moment(samples=()))
        page = open_page(f"{serving.url}/#/overview", expected=NO_RECORDING)
        expect(page.get_by_text("This machine has no GPU that Blackbox can see")).to_be_visible()
        page.context.close()


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_shuts_anyone_out(open_page: OpenPage, refused: Serving, view: str) -> None:
    page = open_page(f"{refused.url}/#/{view}", bypass_csp=True, expected=STALE)
    expect(page.locator(VIEWS[view]).first).to_be_visible()
    assert_open_to_all(page)
    page.set_viewport_size({"width": 380, "height": 800})
    assert not is_wider_than_its_window(page)
