"""What a click on a fragment does: its target is `what` or `what:which`."""

from collections.abc import Callable

from blackbox.tui import actions
from blackbox.tui.frame import strip_range, strip_width
from blackbox.tui.incident_rows import shown_incidents
from blackbox.tui.pages import processes
from blackbox.tui.scene import PageLines, Scene
from blackbox.tui.view import PAGES


def act(scene: Scene, page: PageLines, target: str) -> None:
    """Does what the target names; one that nobody knows does nothing."""
    what, _, which = target.partition(":")
    if not which and what in _KEYS:
        actions.STEP_OF_KEY[_KEYS[what]].act(scene, page)
    elif what in _TARGETS:
        _TARGETS[what](scene, which)


_KEYS = {
    "live": "l",
    "pause": "space",
    "filter": "slash",
    "help": "question_mark",
    "gpu": "g",
    "server": "tab",
    "part": "p",
}


def _page(scene: Scene, which: str) -> None:
    scene.view.go(next(page for page in PAGES if page == which))


def _gpu(scene: Scene, which: str) -> None:
    """Of a GPU: its map."""
    scene.view.gpu = which
    scene.view.go("map")


def _server(scene: Scene, which: str) -> None:
    scene.view.server = int(which)


def _time(scene: Scene, which: str) -> None:
    start, end = strip_range(scene)
    scene.view.look_at(start + (int(which) + 0.5) * (end - start) / strip_width(scene), scene.now)


def _mark(scene: Scene, which: str) -> None:
    scene.view.look_at(float(which), scene.now)


def _incident(scene: Scene, which: str) -> None:
    rows = shown_incidents(scene)
    place = next((place for place, row in enumerate(rows) if row.event.id == int(which)), 0)
    scene.view.row["incidents"] = place
    scene.view.go("incidents")


def _process(scene: Scene, which: str) -> None:
    """Of a process: its map."""
    uuid, _, _ = which.rpartition(":")
    _gpu(scene, uuid)


def _row(scene: Scene, which: str) -> None:
    scene.view.row[scene.view.page] = int(which)


def _sort(scene: Scene, which: str) -> None:
    processes.sort(scene, which)


_TARGETS: dict[str, Callable[[Scene, str], None]] = {
    "page": _page,
    "gpu": _gpu,
    "server": _server,
    "time": _time,
    "mark": _mark,
    "incident": _incident,
    "process": _process,
    "row": _row,
    "sort": _sort,
}
