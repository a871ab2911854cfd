"""Restarts of the server, and the token."""

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, screenshot
from tests.running_server import RunningServer

TOKEN = "s3cret-of-the-test"


def test_the_page_outlives_a_restart_of_its_server(open_page: OpenPage, tmp_path: Path) -> None:
    with RunningServer(tmp_path, "--demo") as server:
        page = open_page(f"{server.url}/#/overview", expected="ERR_")
        expect(page.locator(".clock")).to_contain_text("LIVE")
    lost = page.get_by_role("alert").filter(has_text="Connection lost")
    expect(lost).to_be_visible()
    expect(page.locator(".gpu").first).to_be_visible()  # what was known stays, with its time
    screenshot(page, "lost")
    with RunningServer(tmp_path, "--demo", port=server.port):
        expect(page.locator(".clock")).to_contain_text("LIVE")  # it tries again by itself
        expect(lost).to_be_hidden()
        page.context.close()


def test_a_lost_page_tries_at_once_when_asked_to(open_page: OpenPage, tmp_path: Path) -> None:
    """The page's time stands still, so that it never tries by itself."""
    with RunningServer(tmp_path, "--demo") as server:
        page = open_page(f"{server.url}/#/overview", expected="ERR_")
        page.clock.install()
        page.reload()  # from its first timer on, its time is the test's
        expect(page.locator(".clock")).to_contain_text("LIVE")
        page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 10)  # sooner than it gives a silent server up
    lost = page.get_by_role("alert").filter(has_text="Connection lost")
    expect(lost).to_be_visible()
    try_now = page.get_by_role("button", name="Try now")
    with page.expect_event("requestfailed", lambda asked: "/vram/stream" in asked.url):
        try_now.click()
    expect(lost).to_be_visible()  # in vain, and it says so still
    with RunningServer(tmp_path, "--demo", port=server.port):
        try_now.click()
        expect(page.locator(".clock")).to_contain_text("LIVE")
        expect(lost).to_be_hidden()
        page.context.close()


def test_a_token_is_asked_for_and_becomes_a_session(open_page: OpenPage, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with RunningServer(tmp_path, "--demo", "--token-file", str(tmp_path / "token"), token=TOKEN) as server:
        page = open_page(f"{server.url}/#/processes", expected="401")
        expect(page.get_by_role("heading", name="Blackbox asks for its token")).to_be_visible()
        screenshot(page, "login")
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_role("alert")).to_contain_text("does not know this token")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Show").click()
        expect(page.locator("tbody tr").nth(3)).to_be_visible()
        (cookie,) = page.context.cookies()
        assert cookie["name"] == f"blackbox_{server.port}"
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert TOKEN not in cookie["value"]
        page.reload()
        expect(page.locator("tbody tr").nth(3)).to_be_visible()
        page.context.close()  # before its server goes


def test_without_the_token_the_page_shows_nothing_of_the_machine(open_page: OpenPage, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with RunningServer(tmp_path, "--demo", "--token-file", str(tmp_path / "token"), token=TOKEN) as server:
        page = open_page(f"{server.url}/#/overview", expected="401")
        expect(page.get_by_label("Token")).to_be_visible()
        assert "GiB" not in page.content()
        page.context.close()
