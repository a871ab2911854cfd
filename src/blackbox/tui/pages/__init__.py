"""One module per page: `lines(scene)` makes its lines, without asking anybody anything."""

from collections.abc import Callable

from blackbox.tui.pages import health, overview
from blackbox.tui.scene import PageLines, Scene
from blackbox.tui.view import Page

PAGE_LINES: dict[Page, Callable[[Scene], PageLines]] = {
    "overview": overview.lines,
    "map": overview.lines,
    "timeline": overview.lines,
    "processes": overview.lines,
    "moment": overview.lines,
    "compare": overview.lines,
    "incidents": overview.lines,
    "health": health.lines,
}
