"""The Textual application: draws scenes, and turns keys and clicks into steps."""

import asyncio
import time
from collections.abc import Callable, Sequence

from textual import events
from textual.app import App, ComposeResult

from blackbox.client import AsyncClient
from blackbox.terminal.colour_depth import Depth
from blackbox.terminal.layout import TextLine, clipped
from blackbox.tui import actions, clicks, frame, help_page, requests
from blackbox.tui.answers import Answers
from blackbox.tui.feed import Feed, ServerState
from blackbox.tui.pages import PAGE_LINES
from blackbox.tui.scene import PageLines, Scene
from blackbox.tui.sheet import Sheet
from blackbox.tui.view import View

DRAW_AFTER_SECONDS = 0.02
"""Several changes within it are drawn once."""
CLOCK_SECONDS = 1.0
"""While a server is away its age is drawn anew so often; and what is asked for again is looked at."""
WHEEL_LINES = 3


class TopApp(App[None]):
    """`blackbox top`."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "blackbox top"
    CSS = "Screen, Sheet { background: ansi_default; color: ansi_default; scrollbar-size: 0 0; }"

    def __init__(self, clients: Sequence[tuple[str, AsyncClient]], depth: Depth, view: View | None = None) -> None:
        """`clients`: each with its name."""
        super().__init__(ansi_color=True)
        self.servers = [ServerState(label) for label, _ in clients]
        self._clients = [client for _, client in clients]
        self._depth: Depth = depth
        self.view = view or View()
        self._answers = Answers()
        self.sheet = Sheet()
        self._page = PageLines([])
        self._is_due = False
        self._feeds: list[asyncio.Task[None]] = []

    def compose(self) -> ComposeResult:
        """One widget draws everything."""
        yield self.sheet

    def on_mount(self) -> None:
        """Begins to follow the servers."""
        self.sheet.focus()
        for client, server in zip(self._clients, self.servers, strict=True):
            self._feeds.append(asyncio.create_task(Feed(client, server, self.draw_soon).run()))
        self.set_interval(CLOCK_SECONDS, self._on_clock)
        self.draw()

    async def on_unmount(self) -> None:
        """Ends what was begun."""
        self._answers.cancel()
        for feed in self._feeds:
            feed.cancel()
        await asyncio.gather(*self._feeds, return_exceptions=True)

    def _on_clock(self) -> None:
        if any(server.connection.state != "live" for server in self.servers):
            self.draw_soon()

    def draw_soon(self) -> None:
        """Draws once, however often it is called until then."""
        if not self._is_due and self.is_running:
            self._is_due = True
            self.set_timer(DRAW_AFTER_SECONDS, self.draw)

    def scene(self) -> Scene:
        """Of this instant."""
        width, height = self.size
        whole = Scene(width, height, self._depth, self.servers, self.view, self._answers, time.time())
        above = len(frame.head(whole)) + len(frame.strip(whole))
        return whole._replace(height=max(1, height - above - 1))

    def draw(self) -> None:
        """Draws, and asks for what is missing."""
        self._is_due = False
        scene = self.scene()
        requests.ask_for_page(scene, self._clients[self.view.server], self._answers, self.draw_soon)
        self._page = help_page.lines(scene) if self.view.helps else PAGE_LINES[self.view.page](scene)
        self._keep_chosen_in_sight(scene)
        first = self._first_line(scene)
        body = self._page.lines[first : first + scene.height]
        missing: list[TextLine] = [()] * (scene.height - len(body))
        lines = [*frame.head(scene), *frame.strip(scene), *body, *missing, frame.foot(scene)]
        self.sheet.show([clipped(line, scene.width) for line in lines])

    def _first_line(self, scene: Scene) -> int:
        most = max(0, len(self._page.lines) - scene.height)
        return 0 if self.view.helps else min(most, self.view.scroll.get(self.view.page, 0))

    def _keep_chosen_in_sight(self, scene: Scene) -> None:
        place = self._page.chosen_line
        if place is None:
            return
        first = self._first_line(scene)
        if place < first or place >= first + scene.height:
            self.view.scroll[self.view.page] = max(0, place - scene.height // 2)

    def _act(self, step: Callable[[Scene, PageLines], None]) -> None:
        step(self.scene(), self._page)
        self.draw()

    def on_resize(self) -> None:
        """Everything moves."""
        self.draw_soon()

    def on_key(self, event: events.Key) -> None:
        """Keys write the filter while it is written, and act otherwise."""
        view = self.view
        if view.typing:
            view.typing, view.filter = typed(view.filter, event)
            event.stop()
            self.draw()
        elif event.key in ("q", "Q", "ctrl+c", "ctrl+q"):
            self.exit()
        elif (step := actions.STEP_OF_KEY.get(event.key)) is not None:
            event.stop()
            event.prevent_default()
            self._act(step.act)

    def on_click(self, event: events.Click) -> None:
        """A click means what stands there."""
        target = self.sheet.target_at(event.x, event.y)
        if target == frame.TIME_TARGET:
            target = f"{target}:{event.x - frame.STRIP_LABEL_CELLS}"
        if target == "quit":
            self.exit()
        elif target is not None:
            self._act(lambda scene, page: clicks.act(scene, page, target))

    def on_mouse_scroll_down(self) -> None:
        """Lines below."""
        self._act(lambda scene, page: actions.scroll(scene, page, WHEEL_LINES))

    def on_mouse_scroll_up(self) -> None:
        """Lines above."""
        self._act(lambda scene, page: actions.scroll(scene, page, -WHEEL_LINES))


def typed(before: str, event: events.Key) -> tuple[bool, str]:
    """Whether the filter is still written after a key, and what it is then."""
    if event.key == "enter":
        return False, before
    if event.key == "escape":
        return False, ""
    if event.key == "backspace":
        return True, before[:-1]
    if event.character is not None and event.is_printable:
        return True, before + event.character
    return True, before
