"""A real browser on a real server: Debian's Chromium, driven by Playwright. Errors on its console fail the test."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from blackbox.server.api.dashboard import STATIC
from tests.private_state import ROOT
from tests.running_server import RunningServer
from tests.tools import missing, tool
from tests.waiting import PATIENCE_SECONDS

FLAGS = (
    "--no-sandbox",  # tests run as root in containers; the pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SCREENSHOTS = ROOT / "build" / "screenshots"
"""Of every view, for who looks at what the tests saw; README and docs have theirs from here."""
VIEWS = {
    "overview": ".gpu .ledger >> nth=3",
    "map": "[role=application]",
    "timeline": ".chart canvas >> nth=3",
    "processes": "tbody tr >> nth=4",
    "moment": ".icicle button >> nth=4",
    "compare": ".overlay canvas, .empty",
    "incidents": ".incidents nav",
    "health": "text=told of each process",
}
"""View -> what is there once it is filled."""
ZONE = "UTC"
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
MINOR = ("minor",)
expect.set_options(timeout=PATIENCE_SECONDS * 1000)
OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def built() -> None:
    """The dashboard is there."""
    if not (STATIC / "index.html").exists():
        missing("the dashboard is not built (./run dashboard)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Gone before the next file: while it is there its event loop counts as running, and nobody can run another."""
    chromium = tool("chromium", "chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser, built: None) -> Iterator[OpenPage]:
    """Opens pages; at the end of the test none may have met an error, or asked anyone but its own server."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_one(
        url: str,
        *,
        width: int = 1360,
        height: int = 850,
        dark: bool = False,
        bypass_csp: bool = False,
        expected: str | None = None,
    ) -> Page:
        """`expected`: what the browser says of requests whose failure the test brings about."""
        wanted = None if expected is None else re.compile(expected)

        def note(told: ConsoleMessage) -> None:
            url = str(told.location.get("url"))
            if told.type != "error" or (wanted is not None and wanted.search(told.text)):
                return
            if url.endswith("/healthz") and "503" in told.text:
                return  # a loaded machine whose samples come late
            errors.append(f"console: {told.text} {url}")

        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            timezone_id=ZONE,
            locale="en-GB",
            bypass_csp=bypass_csp,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        origin = urlsplit(url).netloc
        page.on("pageerror", lambda error: errors.append(f"error: {error}"))
        page.on("console", note)
        page.on("request", lambda asked: is_foreign(asked.url, origin) and errors.append(f"foreign: {asked.url}"))
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []


def is_foreign(url: str, origin: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme != "data" and parts.netloc != origin


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server on the simulated machine, with some seconds behind it."""
    with RunningServer(tmp_path_factory.mktemp("demo"), "--demo") as server:
        yield server


def screenshot(page: Page, name: str) -> Path:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path)
    return path


def is_wider_than_its_window(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def assert_open_to_all(page: Page) -> None:
    """axe finds nothing of weight, in either colours: contrast, names, roles, order, one headline. The page has to be
    opened with `bypass_csp`."""
    page.add_script_tag(content=AXE.read_text())
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        faults = [one for one in found["violations"] if one["impact"] not in MINOR]
        assert [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in faults] == []
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
