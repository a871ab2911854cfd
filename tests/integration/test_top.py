"""`blackbox top` against a real server, driven by keys and clicks; and as a command where there is no terminal."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from blackbox.settings import Settings
from tests.moments import SILENT, machine
from tests.running_server import environment
from tests.serving import Serving
from tests.terminal_screens import SMALL, WIDE, top
from tests.waiting import PATIENCE_SECONDS


@pytest.mark.parametrize("size", [WIDE, SMALL, (40, 10), (200, 60)])
def test_the_overview_shows_every_gpu_and_process_at_any_size(size: tuple[int, int]) -> None:
    async def look() -> None:
        with Serving() as serving:
            serving.publish(machine())
            async with top(serving.url, size=size) as screen:
                text = await screen.until("GPU 0", "LIVE")
                assert max(len(line) for line in text.split("\n")) <= size[0]
                assert len(text.split("\n")) == size[1]
                if size != (40, 10):
                    await screen.until(f"python {SILENT}", "20.0 / 80.0 GiB")

    asyncio.run(look())


def test_a_server_that_goes_away_and_comes_back_is_said() -> None:
    async def look() -> None:
        with Serving() as first:
            first.publish(machine())
            port, url = first.port, first.url
            async with top(url) as screen:
                await screen.until("LIVE")
                await asyncio.to_thread(first.stop)
                await screen.until("LOST", "Trying again in", "What you see is of", "20.0 / 80.0 GiB")
                with Serving(Settings(port=port)) as second:
                    for _ in range(2):  # the stream goes on behind the sample it had last
                        second.publish(machine())
                    await screen.until("LIVE")
                    assert "LOST" not in screen.text

    asyncio.run(look())


def test_several_servers_stand_side_by_side() -> None:
    async def look() -> None:
        with Serving() as one, Serving() as other:
            one.publish(machine(), host="alpha")
            other.publish(machine(), host="beta")
            async with top(one.url, other.url, size=(170, 40)) as screen:
                text = await screen.until("alpha", "beta", "20.0")
                assert any("alpha" in line and "beta" in line for line in text.split("\n"))
                assert sum(line.count("20.0 / 80.0 GiB") for line in text.split("\n")) == 4  # of each its two GPUs
                await screen.press("tab")
                await screen.until("(server 2 of 2")

    asyncio.run(look())


def test_one_server_of_two_may_be_away() -> None:
    async def look() -> None:
        with Serving() as gone:
            url = gone.url
        with Serving() as serving:
            serving.publish(machine(), host="alpha")
            async with top(url, serving.url) as screen:
                await screen.until("LOST", "The server does not answer yet.", "20.0 / 80.0 GiB")

    asyncio.run(look())


def test_what_is_not_measured_has_its_reason() -> None:
    async def look() -> None:
        with Serving() as serving:
            serving.publish(machine())
            async with top(serving.url) as screen:
                await screen.until("inside n/a: no allocator reports from")
                await screen.press("8")
                await screen.until("Sources of numbers", "recording:")

    asyncio.run(look())


def test_help_and_leaving() -> None:
    async def look() -> None:
        with Serving() as serving:
            serving.publish(machine())
            async with top(serving.url) as screen:
                await screen.until("LIVE")
                await screen.press("question_mark")
                await screen.until("back to now", "KV cache in use", "out of memory")
                await screen.press("escape")
                await screen.until("20.0 / 80.0 GiB")
                await screen.click("8 Health")
                await screen.until("Sources of numbers")
                await screen.press("q")
                assert screen.app.return_code == 0 or not screen.app.is_running

    asyncio.run(look())


def run(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "blackbox", "top", *words]
    return subprocess.run(
        command,
        env=environment(home, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_without_a_terminal_it_says_so_in_one_line(tmp_path: Path) -> None:
    ran = run(tmp_path)
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr == (
        "blackbox: top needs a terminal for input, output and errors; 'blackbox stat' prints one snapshot\n"
    )


@pytest.mark.parametrize("words", [("stat", "--help"), ("top", "--help"), ("stat",)])
def test_no_other_command_pays_for_the_screens(tmp_path: Path, words: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom blackbox.cli import main\n"
        f"try: main({list(words)!r})\nexcept SystemExit: pass\n"
        "loaded = {name.partition('.')[0] for name in sys.modules} & {'textual', 'rich'}\n"
        "sys.exit(f'loaded: {sorted(loaded)}' if loaded else 0)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path, BLACKBOX_URL="http://127.0.0.1:9"),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
