"""`#/fleet`: many machines, out of a real ClickHouse of two shards; one of them away; and no database at all."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from blackbox.fleet.ddl import TableLayout, reader_grants
from blackbox.fleet.send import Access
from blackbox.fleet.setup import make_tables
from tests.browser.conftest import OpenPage, assert_open_to_all, screenshot
from tests.clickhouse_rig import CLUSTER, PASSWORD, READER, ClickHouse, running
from tests.fleet_rows import GIB, MINUTE, START, insert, machine_row, made_fleet, store, utc
from tests.running_server import RunningServer

TOKEN = "s3cret"
LAYOUT = TableLayout(cluster=CLUSTER, replicated=False)
HOSTS = ("gpu1", "gpu2", "gpu3")
MINUTES = 10
ASKED = START + MINUTES * MINUTE
JOB = "4711"
LATE = "gpu9"
"""Its server has not shipped so far yet."""
TABLES = 6
"""Each says how much of the fleet it is of."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClickHouse]]:
    grants = {READER: [f"GRANT {grant}" for grant in reader_grants(LAYOUT)]}
    with running(tmp_path_factory.mktemp("clickhouse"), 2, grants) as nodes:
        make_tables([Access(node.url) for node in nodes], LAYOUT, lambda _: None)
        store(nodes[0], made_fleet(HOSTS, MINUTES + 1, random.Random(4)), ASKED + MINUTE)
        insert(nodes[0], "machine", [machine_row(LATE, START) | {"tenant": ""}])
        refused = {"kind": "oom", "ts": utc(ASKED - 5), "event_id": 41, "batch": 1, "detail": "{}", "pid": 48211}
        of = {"tenant": "", "machine": "id-gpu2", "host": "gpu2", "name": "python", "slurm_job": "7"}
        insert(nodes[0], "event", [refused | of | {"requested_bytes": 3 * GIB, "device_total_bytes": 80 * GIB}])
        life = {"tenant": "", "machine": "id-gpu2", "host": "gpu2", "gpu_uuid": "GPU-gpu2-0", "gpu": 0, "pid": 48211}
        life |= {"name": "python", "start_ms": (START - 60) * 1000, "slurm_job": JOB, "peak_used_bytes": 5 * GIB}
        insert(nodes[0], "life", [life | {"first_seen": utc(START), "last_seen": utc(ASKED - 60)}])
        yield nodes


def files(home: Path) -> tuple[Path, Path]:
    """A token and a password that nobody else may read."""
    for name, secret in (("token", TOKEN), ("password", PASSWORD)):
        (home / name).write_text(secret)
        (home / name).chmod(0o600)
    return home / "token", home / "password"


@pytest.fixture(scope="module")
def server(nodes: list[ClickHouse], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home = tmp_path_factory.mktemp("fleet")
    token, password = files(home)
    reads = ("--fleet-read", nodes[0].url, "--fleet-read-user", READER, "--fleet-read-password-file", str(password))
    with RunningServer(home, "--demo", "--token-file", str(token), *reads, token=TOKEN) as server:
        yield server


def admitted(open_page: OpenPage, address: str, *, expected: str = "401", bypass_csp: bool = False) -> Page:
    page = open_page(address, expected=expected, bypass_csp=bypass_csp)
    page.get_by_placeholder("token").fill(TOKEN)
    page.get_by_role("button", name="Show").click()
    return page


def look_for(page: Page, name: str) -> None:
    field = page.get_by_label("where was a pod, job, user or container")
    field.fill(name)
    field.press("Enter")


def test_the_fleet_is_seen_at_a_time_and_who_is_late_is_said_on_every_table(
    open_page: OpenPage, server: RunningServer
) -> None:
    page = admitted(open_page, f"{server.url}/#/fleet?t={ASKED}")
    expect(page.get_by_role("navigation", name="views").locator("[aria-current=page]")).to_contain_text("Fleet")
    told = page.locator(".card.fleet .cover")
    expect(told).to_have_count(TABLES)
    for place in range(TABLES):
        expect(told.nth(place)).to_contain_text(re.compile(rf"late \(.*{LATE}"))
    expect(page.locator(".calm")).to_contain_text(re.compile(r"[\d.]+ of [\d.]+ GiB in use on \d+ GPUs of \d machines"))
    card = page.locator(".card.fleet")
    expect(card.filter(has_text="Who held the most")).to_contain_text("7")
    expect(card.filter(has_text="What machines held")).to_contain_text("gpu1")
    refused = card.filter(has_text="report there").locator("tbody tr")
    expect(refused).to_have_count(1)
    expect(refused).to_contain_text(re.compile(r"gpu2.*python 48211.*slurm 7.*3\.0 GiB.*n/a.*80\.0 GiB"))
    expect(refused.locator("code")).to_have_text("blackbox report 41")
    assert "NaN" not in page.inner_text("body")
    page.get_by_role("button", name="machine", exact=True).click()
    expect(page).to_have_url(re.compile(r"by=host"))
    expect(card.filter(has_text="Who held the most").locator("tbody tr").filter(has_text="gpu2")).to_be_visible()
    screenshot(page, "fleet-light")
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    screenshot(page, "fleet-dark")
    page.set_viewport_size({"width": 380, "height": 800})
    assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    screenshot(page, "fleet-phone")
    page.set_viewport_size({"width": 1360, "height": 850})
    refused.get_by_role("button").click()
    expect(page).to_have_url(re.compile(rf"t={ASKED - 5}"))


def test_the_fleet_shuts_nobody_out(open_page: OpenPage, server: RunningServer) -> None:
    page = admitted(open_page, f"{server.url}/#/fleet?t={ASKED}", bypass_csp=True)
    expect(page.locator(".card.fleet .cover")).to_have_count(TABLES)
    assert_open_to_all(page)


def test_a_job_is_looked_for_and_its_processes_are_found_with_the_most_they_held(
    open_page: OpenPage, server: RunningServer
) -> None:
    page = admitted(open_page, f"{server.url}/#/fleet?t={ASKED}")
    look_for(page, JOB)
    expect(page).to_have_url(re.compile(rf"where={JOB}"))
    found = page.locator(".card.fleet").filter(has_text=f"Where was {JOB}?")
    expect(found).to_contain_text("Found as slurm job.")
    expect(found.locator("tbody tr")).to_have_count(1)
    expect(found.locator("tbody tr")).to_contain_text(re.compile(rf"gpu2.*0.*python 48211.*slurm {JOB}.*5\.0"))
    expect(found.locator(".cover")).to_contain_text(LATE)
    screenshot(page, "fleet-where")
    look_for(page, "nobody")
    nobody = page.locator(".card.fleet").filter(has_text="Where was nobody?")
    expect(nobody).to_contain_text("No pod, job, user or container of that name")
    look_for(page, "")
    expect(nobody).to_have_count(0)


def test_a_shard_that_is_away_is_named_on_every_table(
    open_page: OpenPage, server: RunningServer, nodes: list[ClickHouse]
) -> None:
    nodes[1].kill()
    try:
        page = admitted(open_page, f"{server.url}/#/fleet?t={ASKED}")
        told = page.locator(".card.fleet .cover.alarm")
        expect(told).to_have_count(TABLES)
        for place in range(TABLES):
            expect(told.nth(place)).to_contain_text(f"1 of 2 shards did not answer: 2 (127.0.0.1:{nodes[1].tcp_port})")
        screenshot(page, "fleet-shard-away")
    finally:
        nodes[1].start()


def test_a_database_that_is_away_is_one_line(open_page: OpenPage, tmp_path: Path) -> None:
    token, _ = files(tmp_path)
    reads = ("--fleet-read", "http://127.0.0.1:1")
    with RunningServer(tmp_path, "--demo", "--token-file", str(token), *reads, token=TOKEN) as server:
        page = admitted(open_page, f"{server.url}/#/fleet", expected="401|502")
        line = page.get_by_role("alert")
        expect(line).to_contain_text("The fleet cannot be asked: http://127.0.0.1:1 does not answer")
        expect(page.get_by_text("n/a: it could not be asked.")).to_have_count(TABLES)
        expect(line).to_have_count(1)
        screenshot(page, "fleet-away")
        page.context.close()  # before its server goes


def test_a_server_of_one_machine_has_no_such_view(open_page: OpenPage, demo: RunningServer) -> None:
    page = open_page(f"{demo.url}/#/overview")
    expect(page.get_by_role("navigation", name="views").get_by_role("link")).to_have_count(8)
    page.keyboard.press("9")
    expect(page).to_have_url(re.compile("#/overview"))
    page = open_page(f"{demo.url}/#/fleet", bypass_csp=True)
    expect(page.get_by_role("heading", name="This server asks no fleet")).to_be_visible()
    assert_open_to_all(page)
