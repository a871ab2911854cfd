"""`blackbox top` without a terminal: Textual's own pilot drives it against a real server on loopback."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from blackbox.client import AsyncClient
from blackbox.terminal.colour_depth import Depth
from blackbox.terminal.layout import plain
from blackbox.tui.app import TopApp
from tests.waiting import PATIENCE_SECONDS

PICTURES = Path(__file__).parents[1] / "build" / "screenshots" / "top"
WIDE, SMALL = (120, 40), (80, 24)


class Screen:
    """What stands on the terminal, and its keys."""

    def __init__(self, app: TopApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(plain(line) for line in self.app.sheet.shown)

    async def until(self, *words: str) -> str:
        """The text once all these words stand in it."""
        give_up_at = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while not all(word in self.text for word in words):
            missing = [word for word in words if word not in self.text]
            assert asyncio.get_running_loop().time() < give_up_at, f"{missing} never came:\n{self.text}"
            await asyncio.sleep(0.02)
        return self.text

    async def press(self, *keys: str) -> None:
        """Keys, one after the other."""
        await self.pilot.press(*keys)

    async def click(self, word: str) -> None:
        """A click in the middle of a word on the screen."""
        for row, line in enumerate(self.text.split("\n")):
            if word in line:
                await self.pilot.click(offset=(line.index(word) + len(word) // 2, row))
                return
        raise AssertionError(f"no {word!r} on the screen:\n{self.text}")

    def picture(self, name: str) -> str:
        """Keeps the screen as a picture beside those of the browser's tests, and returns it."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        drawn = self.app.export_screenshot(title=name)
        (PICTURES / f"{name}.svg").write_text(drawn)
        return drawn


@asynccontextmanager
async def top(
    *urls: str, size: tuple[int, int] = WIDE, depth: Depth = 256, labels: Sequence[str] = ()
) -> AsyncIterator[Screen]:
    """The application on a terminal of that size."""
    clients = [(label, AsyncClient(url)) for label, url in zip(labels or urls, urls, strict=True)]
    app = TopApp(clients, depth)
    async with app.run_test(size=size) as pilot:
        yield Screen(app, pilot)
