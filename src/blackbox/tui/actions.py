"""What keys and clicks do to the view. Nothing here draws or asks."""

from collections.abc import Callable
from dataclasses import dataclass

from blackbox.model.query import NumberedEvent
from blackbox.tui.frame import strip_range, strip_width
from blackbox.tui.incident_rows import folded, shown_incidents
from blackbox.tui.pages import icicle, processes
from blackbox.tui.pages.moment_rows import rows_of
from blackbox.tui.scene import PageLines, Scene
from blackbox.tui.view import GROUPINGS, PAGES, View

ZOOM = 2.0
MARK_SECONDS = 0.2
"""A step from mark to mark passes over one as near as this."""
BEFORE_SECONDS = 300.0
"""An incident is compared with this time before."""


@dataclass
class Step:
    """A key, what it does in words, and how."""

    keys: tuple[str, ...]
    shown: str
    help: str
    act: Callable[[Scene, PageLines], None]


def _pause(scene: Scene, _: PageLines) -> None:
    view = scene.view
    if view.time is None and scene.server.snapshot is not None:
        view.time, view.paused = scene.now, True
    else:
        view.look_at(None, scene.now)


def _live(scene: Scene, _: PageLines) -> None:
    scene.view.look_at(None, scene.now)


def _moved(columns: int) -> Callable[[Scene, PageLines], None]:
    def act(scene: Scene, _: PageLines) -> None:
        start, end = strip_range(scene)
        step = max(1.0, (end - start) / strip_width(scene))
        scene.view.look_at(scene.cursor + columns * step, scene.now)

    return act


def to_mark(scene: Scene, direction: int) -> None:
    """Looks at the next event, or the one before; behind the last is now."""
    times = sorted({time for row in folded(scene.server.events) for time in row.times})
    at = scene.cursor
    later = [time for time in times if time > at + MARK_SECONDS]
    earlier = [time for time in times if time < at - MARK_SECONDS]
    if direction > 0:
        scene.view.look_at(later[0] if later else None, scene.now)
    elif earlier:
        scene.view.look_at(earlier[-1], scene.now)


def _zoomed(factor: float) -> Callable[[Scene, PageLines], None]:
    return lambda scene, _: scene.view.zoom(factor)


def _page(page: str) -> Callable[[Scene, PageLines], None]:
    return lambda scene, _: scene.view.go(next(one for one in PAGES if one == page))


def _marked(name: str) -> Callable[[Scene, PageLines], None]:
    return lambda scene, _: setattr(scene.view, name, scene.cursor)


def _swap(scene: Scene, _: PageLines) -> None:
    view = scene.view
    view.a, view.b = view.b, view.a


def _compare(scene: Scene, _: PageLines) -> None:
    """On an incident: with the time before it."""
    view = scene.view
    event = chosen_incident(scene)
    if event is not None:
        view.a, view.b = event.timestamp - BEFORE_SECONDS, event.timestamp
    view.go("compare")


def _moment(scene: Scene, _: PageLines) -> None:
    """On an incident: its own moment."""
    event = chosen_incident(scene)
    if event is not None:
        scene.view.look_at(event.timestamp, scene.now, event.id if event.oom is not None else None)
    scene.view.go("moment")


def _enter(scene: Scene, _: PageLines) -> None:
    """The map of what is chosen; of an incident, as it was then."""
    view = scene.view
    event = chosen_incident(scene)
    if event is not None:
        view.look_at(event.timestamp, scene.now, event.id if event.oom is not None else None)
        view.gpu = event.gpu_uuid or view.gpu
    elif view.page == "processes":
        rows = processes.rows_of(scene)
        if rows:
            view.gpu = rows[min(view.chosen, len(rows) - 1)].process.gpu_uuid
    view.go("map")


def chosen_incident(scene: Scene) -> NumberedEvent | None:
    """The event chosen on the page of incidents; None elsewhere."""
    rows = shown_incidents(scene) if scene.view.page == "incidents" else []
    return rows[min(scene.view.chosen, len(rows) - 1)].event if rows else None


def _next_part(scene: Scene, _: PageLines) -> None:
    scene.view.part += 1


def _order(scene: Scene, _: PageLines) -> None:
    processes.sort_by_next(scene)


def _reverse(scene: Scene, _: PageLines) -> None:
    if scene.view.order is not None:
        processes.sort(scene, scene.view.order.column)


def _next_gpu(scene: Scene, _: PageLines) -> None:
    every = [None, *(leaf.gpu.uuid for leaf in scene.server.leaves)]
    place = every.index(scene.view.gpu) if scene.view.gpu in every else 0
    scene.view.gpu = every[(place + 1) % len(every)]


def _next_server(scene: Scene, _: PageLines) -> None:
    view: View = scene.view
    view.server = (view.server + 1) % len(scene.servers)
    view.gpu, view.order = None, None


def _chosen(rows: int) -> Callable[[Scene, PageLines], None]:
    def act(scene: Scene, page: PageLines) -> None:
        view = scene.view
        if page.rows:
            view.row[view.page] = min(page.rows - 1, max(0, view.chosen + rows))
        else:
            scroll(scene, page, rows)

    return act


def scroll(scene: Scene, page: PageLines, lines: int) -> None:
    """Moves what is shown."""
    most = max(0, len(page.lines) - scene.height)
    scene.view.scroll[scene.view.page] = min(most, max(0, scene.view.scroll.get(scene.view.page, 0) + lines))


def _paged(direction: int) -> Callable[[Scene, PageLines], None]:
    def act(scene: Scene, page: PageLines) -> None:
        _chosen(direction * max(1, scene.height - 2))(scene, page)

    return act


def _filter(scene: Scene, _: PageLines) -> None:
    scene.view.typing = True


def _clear(scene: Scene, _: PageLines) -> None:
    view = scene.view
    if view.helps:
        view.helps = False
    elif view.filter:
        view.filter = ""
    else:
        view.gpu = None


def _group(scene: Scene, _: PageLines) -> None:
    scene.view.grouping += 1
    scene.view.row["moment"] = 0


def _into(scene: Scene, _: PageLines) -> None:
    """Looks into the chosen box of the icicle."""
    lived = scene.answers.lived.of(scene.past_key)
    if not _shows_icicle(scene) or lived is None:
        return
    found = icicle.boxes(scene, rows_of(scene, lived.snapshot, lived.before))
    box = found[min(scene.view.chosen, len(found) - 1)] if found else None
    if box is not None and box.inner:
        scene.view.inside, scene.view.row["moment"] = box.path, 0


def _out(scene: Scene, _: PageLines) -> None:
    if _shows_icicle(scene):
        scene.view.inside, scene.view.row["moment"] = scene.view.inside[:-1], 0


def _shows_icicle(scene: Scene) -> bool:
    return scene.view.page == "moment" and GROUPINGS[scene.view.grouping % len(GROUPINGS)] == "icicle"


def _help(scene: Scene, _: PageLines) -> None:
    scene.view.helps = not scene.view.helps


STEPS = (
    *(Step((str(number),), str(number), page, _page(page)) for number, page in enumerate(PAGES, 1)),
    Step(("space",), "space", "pause; again: go on", _pause),
    Step(("l", "L"), "L", "back to now", _live),
    Step(("left",), "←", "look back: one column of the strip", _moved(-1)),
    Step(("right",), "→", "look forth", _moved(1)),
    Step(("shift+left",), "Shift+←", "the mark before", lambda scene, _: to_mark(scene, -1)),
    Step(("shift+right", "n", "N"), "Shift+→ N", "the next mark", lambda scene, _: to_mark(scene, 1)),
    Step(("w", "W", "plus"), "W", "less time on the strip", _zoomed(1 / ZOOM)),
    Step(("s", "S", "minus"), "S", "more time on the strip", _zoomed(ZOOM)),
    Step(("a", "A"), "A", "mark this time as A", _marked("a")),
    Step(("b", "B"), "B", "mark this time as B", _marked("b")),
    Step(("c", "C"), "C", "compare A with B; on an incident: with 5 min before it", _compare),
    Step(("x", "X"), "X", "swap A and B", _swap),
    Step(("enter",), "Enter", "the map of the chosen process; of an incident, as it was then", _enter),
    Step(("p", "P"), "P", "the map of the next process", _next_part),
    Step(("o", "O"), "O", "order processes by the next column; it holds until changed", _order),
    Step(("r", "R"), "R", "reverse that order", _reverse),
    Step(("m", "M"), "M", "what lived at this time; on an incident: at its own moment", _moment),
    Step(("g", "G"), "G", "next GPU; Esc: all", _next_gpu),
    Step(("tab",), "Tab", "next server", _next_server),
    Step(("up", "k"), "↑", "row above", _chosen(-1)),
    Step(("down", "j"), "↓", "row below", _chosen(1)),
    Step(("pageup",), "PgUp", "a screen up", _paged(-1)),
    Step(("pagedown",), "PgDn", "a screen down", _paged(1)),
    Step(("home",), "Home", "first row", _chosen(-1_000_000)),
    Step(("end",), "End", "last row", _chosen(1_000_000)),
    Step(("slash",), "/", "filter by name, pid, user, file; Enter keeps it, Esc clears it", _filter),
    Step(("escape",), "Esc", "clear the filter; then: all GPUs", _clear),
    Step(("t", "T"), "T", "group a moment by stack, as an icicle, by purpose, by thread", _group),
    Step(("z", "Z"), "Z", "look into the chosen box of the icicle", _into),
    Step(("backspace",), "Backspace", "out of it again", _out),
    Step(("question_mark", "h"), "?", "these keys", _help),
)
STEP_OF_KEY = {key: step for step in STEPS for key in step.keys}
