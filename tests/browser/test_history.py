"""What the page shows where half a minute is recorded, and where 10,000 seconds are."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from playwright.sync_api import Page, expect

from blackbox.model.moment import Moment
from blackbox.recorder import Recording
from tests import incidents
from tests.browser.conftest import VIEWS, OpenPage, screenshot
from tests.moments import GIB, NOW, TIMESTAMP, TRAINER, machine, memory, moment, process
from tests.recordings import recorded
from tests.serving import Serving

STALE = "503"
"""What `/healthz` answers where the newest sample is old, as here it is."""
YOUNG_SAMPLES = 51
RESTED_SECONDS = 3 * 3600
OLD_SECONDS = 10_000
OLD_STEP_SECONDS = 20


def clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


@pytest.fixture(scope="module")
def young(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server that has recorded for 25 seconds."""
    directory = tmp_path_factory.mktemp("young")
    lived = incidents.leak()[:YOUNG_SAMPLES]
    with recorded(directory, lived):
        pass
    with Serving(recording=Recording(directory)) as serving:
        serving.hub.publish(lived[-1])
        yield serving


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server that has recorded for 10,000 seconds, in which its trainer took 1 GiB after every thousand."""
    directory = tmp_path_factory.mktemp("old")
    base = machine()

    def at(second: int) -> Moment:
        more = second // 1000 * GIB
        devices = tuple(
            replace(one, memory=memory(used=20 * GIB + more)) if one.index == 0 else one for one in base.devices
        )
        trainer = process(TRAINER, used_bytes=5 * GIB + more)
        rows = tuple(trainer if row.pid == TRAINER else row for row in base.processes)
        changed = replace(base, devices=devices, processes=rows)
        return moment(changed, seq=second + 1, timestamp=TIMESTAMP + second, taken_at=NOW + second)

    lived = [at(second) for second in range(0, OLD_SECONDS + 1, OLD_STEP_SECONDS)]
    with recorded(directory, lived):
        pass
    with Serving(recording=Recording(directory)) as serving:
        serving.hub.publish(lived[-1])
        yield serving


@pytest.fixture(scope="module")
def rested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server that has recorded for 25 seconds, after it rested for three hours."""
    directory = tmp_path_factory.mktemp("rested")
    lived = incidents.leak()[:YOUNG_SAMPLES]
    earlier = [replace(one, timestamp=one.timestamp - RESTED_SECONDS) for one in lived]
    with recorded(directory, [*earlier, *lived]):
        pass
    with Serving(recording=Recording(directory)) as serving:
        serving.hub.publish(lived[-1])
        yield serving


def words(page: Page) -> str:
    return page.inner_text("body")


def test_no_window_begins_before_the_recording(open_page: OpenPage, young: Serving) -> None:
    begin = clock(TIMESTAMP)
    page = open_page(f"{young.url}/#/overview", expected=STALE)
    changes = page.locator("section").filter(has=page.get_by_role("heading", name="Change in"))
    expect(changes).to_contain_text(f"Change in 25 s by process, since {begin}")
    expect(changes).to_contain_text("python 48211")
    expect(changes).not_to_contain_text("new")  # it held most of that when the recording began
    expect(page.locator(".strip aside")).to_contain_text(f"since {begin}")
    page.goto(f"{young.url}/#/timeline")
    expect(page.get_by_text(f"recorded since {begin}, nothing before")).to_be_visible()
    held = page.locator(".side table").first  # of the newest step that is recorded, not of one to come
    expect(held).not_to_contain_text("–")
    screenshot(page, "timeline-young")
    page.goto(f"{young.url}/#/compare")
    expect(page.get_by_text(re.compile(r"python \d+ (took|gave back)"))).to_be_visible()
    expect(page.get_by_role("button", name="5 min before B", exact=True)).to_be_disabled()
    page.get_by_role("button", name=f"{begin}, when the recording begins").click()
    expect(page.get_by_text("cannot be compared")).to_have_count(0)


def test_no_window_begins_in_the_rest_before_the_last_start(open_page: OpenPage, rested: Serving) -> None:
    page = open_page(f"{rested.url}/#/overview", expected=STALE)
    changes = page.locator("section").filter(has=page.get_by_role("heading", name="Change in"))
    expect(changes).to_contain_text(f"Change in 25 s by process, since {clock(TIMESTAMP)}")
    page.goto(f"{rested.url}/#/compare")
    expect(page.get_by_text(re.compile(r"python \d+ (took|gave back)"))).to_be_visible()
    expect(page.get_by_text("cannot be compared")).to_have_count(0)


@pytest.mark.slow
def test_ten_thousand_seconds_are_looked_at_whole_in_part_and_at_a_time(open_page: OpenPage, old: Serving) -> None:
    begin, end = clock(TIMESTAMP), clock(TIMESTAMP + OLD_SECONDS)
    page = open_page(f"{old.url}/#/timeline?range=all", expected=STALE)
    expect(page.get_by_text(f"recorded since {begin}, nothing before; shown to {end}")).to_be_visible()
    chart = page.get_by_role(
        "img", name=re.compile(r"^GPU 0: (29|30)\.0 GiB of .* between 20\.0 GiB and (29|30)\.0 GiB")
    )
    expect(chart).to_be_visible()
    screenshot(page, "timeline-10000-s")
    page.get_by_role("button", name="1 h").click()
    expect(page.get_by_text(f"{clock(TIMESTAMP + OLD_SECONDS - 3600)} to {end}")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"^GPU 0: (29|30)\.0 GiB .* between 26\.0 GiB and"))).to_be_visible()
    for view in VIEWS:
        page.goto(f"{old.url}/#/{view}?t={TIMESTAMP + 1500}")
        expect(page.locator(".clock")).to_contain_text(clock(TIMESTAMP + 1500))
        expect(page.locator("main")).to_be_visible()
        expect(page.locator(".strip p")).to_contain_text("GPU 0: 26 % used")
        assert not re.search("NaN|undefined|cannot be shown", words(page))
    page.goto(f"{old.url}/#/overview?t={TIMESTAMP + 1500}")
    expect(page.locator(".gpu .figure").first).to_contain_text("21.0")
    screenshot(page, "overview-long-past")
    expect(page.locator(".strip p")).to_contain_text("GPU 0: 26 % used, flat")  # then, not in the last minutes
    changes = page.locator("section").filter(has=page.get_by_role("heading", name="Change in"))
    expect(changes).to_contain_text(f"by process, since {clock(TIMESTAMP + 1380)}")
    expect(changes).not_to_contain_text("+")  # nobody took anything then
