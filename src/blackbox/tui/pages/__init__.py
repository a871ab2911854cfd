"""One module per page: `lines(scene)` makes its lines, without asking anybody anything."""

from collections.abc import Callable

from blackbox.tui.pages import compare, health, incidents, map, moment, overview, processes, timeline  # noqa: A004
from blackbox.tui.scene import PageLines, Scene
from blackbox.tui.view import Page

PAGE_LINES: dict[Page, Callable[[Scene], PageLines]] = {
    "overview": overview.lines,
    "map": map.lines,
    "timeline": timeline.lines,
    "processes": processes.lines,
    "moment": moment.lines,
    "compare": compare.lines,
    "incidents": incidents.lines,
    "health": health.lines,
}
