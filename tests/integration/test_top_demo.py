"""`blackbox top` over the demo: every page at two sizes, by what it says; pictures are kept beside the browser's."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.client import Client, StatusError
from tests.running_server import RunningServer
from tests.terminal_screens import SMALL, WIDE, top
from tests.waiting import until

PAGES = {
    "1": ("overview", ("GPU 0", "MIG 1", "tritonserver", "busy n/a", "Highest: GPU 0")),
    "2": ("map", ("VLLM::EngineCor 31877 on GPU 0", "blocks; a row", "weights", "largest free piece")),
    "3": ("timeline", ("GPU 0", "of 79.6 GiB", "0 GiB")),
    "4": ("processes", ("used GiB", "tritonserver", "rows hold still", "no allocator reports from this process")),
    "5": ("moment", ("by stack", "allocated at", "61.0 GiB")),
    "6": ("compare", ("A ",)),
    "7": ("incidents", ("  ",)),
    "8": ("health", ("Sources of numbers", "simulated", "recording: kept")),
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    home: Path = tmp_path_factory.mktemp("demo")
    with RunningServer(home, "--demo", "--data-dir", str(home / "recording")) as server:
        yield server


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["120x40", "80x24"])
def test_every_page_says_what_it_is_for_and_that_this_is_a_demo(demo: RunningServer, size: tuple[int, int]) -> None:
    async def look() -> None:
        async with top(demo.url, size=size) as screen:
            await screen.until("LIVE")
            for key, (name, words) in PAGES.items():
                await screen.press(key)
                text = await screen.until(name.capitalize(), *words)
                assert "DEMO" in text.split("\n")[0]
                assert max(len(line) for line in text.split("\n")) <= size[0]
                assert name.capitalize() in screen.picture(f"{name}-{size[0]}x{size[1]}").replace("&#160;", " ")

    asyncio.run(look())


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["120x40", "80x24"])
def test_the_stacks_of_a_moment_as_an_icicle(demo: RunningServer, size: tuple[int, int]) -> None:
    async def look() -> None:
        async with top(demo.url, size=size) as screen:
            await screen.until("LIVE")
            await screen.press("5", "t")
            await screen.until("as an icicle", "all that is held", "│VLLM::EngineCor 31877")
            screen.picture(f"icicle-{size[0]}x{size[1]}")
            await screen.press("z")
            await screen.until("VLLM::EngineCor 31877  ", "W weights", "Backspace: out")
            await screen.press("backspace")
            await screen.until("all that is held")

    asyncio.run(look())


def is_recorded(server: RunningServer, seconds_ago: float) -> bool:
    try:
        return bool(Client(server.url).at(time.time() - seconds_ago, blocks="none"))
    except StatusError:
        return False


def test_pausing_and_the_past(demo: RunningServer) -> None:
    until(lambda: is_recorded(demo, 10))

    async def look() -> None:
        async with top(demo.url) as screen:
            await screen.until("LIVE", "GPU 0")
            await screen.press("space")
            await screen.until("PAUSED", "space goes on", "H100 80GB HBM3")
            await screen.press("space")
            await screen.until("LIVE")
            await screen.press("left")
            await screen.until("PAST", "(L live")
            await screen.press("a", "right", "right", "right", "b")
            await screen.press("c")
            await screen.until("A ", "B ")
            await screen.press("l")
            await screen.until("LIVE")

    asyncio.run(look())


def test_processes_are_ordered_filtered_and_clicked(demo: RunningServer) -> None:
    async def look() -> None:
        async with top(demo.url) as screen:
            await screen.press("4")
            await screen.until("tritonserver", "Xorg")
            await screen.click("used GiB")
            text = await screen.until("by used GiB, as of the key")
            assert text.index("31877 VLLM") < text.index("2317 Xorg")
            await screen.press("r")
            await screen.until("used GiB▴")
            assert screen.text.index("2317 Xorg") < screen.text.index("31877 VLLM")
            await screen.press("slash", *"triton", "enter")
            text = await screen.until("filter: triton", "1 process;")
            assert "Xorg" not in text
            await screen.press("escape")
            await screen.until("Xorg")
            await screen.press("end", "enter")
            await screen.until("VLLM::EngineCor 31877 on GPU 0")  # the last row, which holds most

    asyncio.run(look())


def test_a_resize_lays_everything_out_anew(demo: RunningServer) -> None:
    async def look() -> None:
        async with top(demo.url, size=WIDE) as screen:
            await screen.until("LIVE", "Change in 2 min")
            await screen.pilot.resize_terminal(*SMALL)
            await screen.until("1 Overview  2 Map  3 Tim")
            assert max(len(line) for line in screen.text.split("\n")) <= SMALL[0]
            assert len(screen.text.split("\n")) == SMALL[1]

    asyncio.run(look())


def test_without_colours_letters_tell(demo: RunningServer) -> None:
    async def look() -> None:
        async with top(demo.url, depth=0) as screen:
            await screen.until("WWW W 61.0 WWW")
            await screen.press("2")
            await screen.until("WWWWWWWWWWWWWWWW")
            looks = {one.look for line in screen.app.sheet.shown for one in line}
            assert all(look.ink is None and look.ground is None for look in looks)

    asyncio.run(look())
