"""What the page shown needs beside the stream: asked for when it is shown, and again while it shows the present."""

from collections.abc import Callable

from blackbox.client import AsyncClient, ClientError
from blackbox.model.query import Comparison, NumberedEvent
from blackbox.model.snapshot import Snapshot
from blackbox.tui.answers import Answers, ChartTable, Lived
from blackbox.tui.frame import recorded_from, strip_range, strip_width
from blackbox.tui.incident_rows import shown_incidents
from blackbox.tui.scene import Scene, seconds_of

CHART_EVERY_SECONDS = 5.0
BLOCKS_EVERY_SECONDS = 2.0
"""The page asks twice a second; a terminal has fewer pixels to change."""
STACKS_EVERY_SECONDS = 3.0
COMPARE_EVERY_SECONDS = 5.0
BEFORE_SECONDS = 60.0
"""What a moment is compared with lies so long before it."""
FIRST_SECONDS = 1.0
"""So long after its beginning a recording has a moment of every process."""
POINTS_MAX = 600


def ask_for_page(scene: Scene, client: AsyncClient, answers: Answers, on_change: Callable[[], None]) -> None:
    """Asks for what is missing or old."""
    if scene.server.snapshot is None or scene.server.connection.state != "live":
        return
    view, live = scene.view, scene.is_live
    if view.time is not None:
        _ask_for_past(scene, client, answers, on_change, view.time)
    _ask_for_chart(scene, client, answers, on_change)
    if view.page == "map":
        asked = answers.columns
        key = (view.server, view.time, view.event)
        before = asked.value if live else None
        asked.want(
            key,
            lambda: client.columns(time=view.time, event=view.event, since=before),
            on_change,
            BLOCKS_EVERY_SECONDS if live else None,
        )
    elif view.page == "moment":
        time, event = view.time, view.event
        answers.lived.want(
            (view.server, time, event),
            lambda: _lived(client, time, event),
            on_change,
            STACKS_EVERY_SECONDS if live else None,
        )
    elif view.page == "incidents":
        _ask_for_report(scene, client, answers, on_change)
    elif view.page == "compare":
        first, second = compared_times(scene)
        key = compare_key(scene)
        answers.comparison.want(
            key, lambda: client.compare(first, second), on_change, COMPARE_EVERY_SECONDS if second is None else None
        )


def has_report(event: NumberedEvent) -> bool:
    """Whether the server reports on it."""
    return event.kind in ("oom", "crash")


def report_key(scene: Scene, event: int) -> tuple[object, ...]:
    """Names the question for a report."""
    return scene.view.server, "report", event


def _ask_for_report(scene: Scene, client: AsyncClient, answers: Answers, on_change: Callable[[], None]) -> None:
    rows = shown_incidents(scene)
    if not rows:
        return
    event = rows[min(scene.view.chosen, len(rows) - 1)].event
    if has_report(event):
        answers.report.want(report_key(scene, event.id), lambda: client.report(event=event.id), on_change)


def _ask_for_past(
    scene: Scene, client: AsyncClient, answers: Answers, on_change: Callable[[], None], time: float
) -> None:
    event = scene.view.event
    answers.past.want(scene.past_key, lambda: client.at(time, blocks="none", event=event), on_change)


def compared_times(scene: Scene) -> tuple[float, float | None]:
    """A and B; without A the time two minutes before, or when the recording begins; without B the time looked at, or
    now."""
    second = scene.view.b if scene.view.b is not None else scene.view.time
    if scene.view.a is not None:
        return scene.view.a, second
    end = second or scene.now
    begin = recorded_from(scene)
    first = end - 2 * BEFORE_SECONDS
    return (first if begin is None else max(first, min(begin + FIRST_SECONDS, end))), second


def compare_key(scene: Scene) -> tuple[object, ...]:
    """Names the question of a comparison; one with now stays the same while time goes on."""
    return scene.view.server, scene.view.a, scene.view.b, scene.view.time


def _ask_for_chart(scene: Scene, client: AsyncClient, answers: Answers, on_change: Callable[[], None]) -> None:
    start, end = strip_range(scene)
    follows = end >= scene.now
    key = (scene.view.server, scene.view.span_seconds, strip_width(scene), None if follows else end)
    points = min(POINTS_MAX, strip_width(scene))
    until = None if follows else end
    answers.chart.want(
        key,
        lambda: _chart(client, start, until, points),
        on_change,
        CHART_EVERY_SECONDS if follows else None,
    )


async def _chart(client: AsyncClient, start: float, until: float | None, points: int) -> ChartTable:
    return ChartTable(await client.chart(since=start, until=until, points=points))


async def _lived(client: AsyncClient, time: float | None, event: int | None) -> Lived:
    """A moment by its stacks, and what changed since a minute before."""
    snapshot = await (
        client.snapshot(blocks="stacks") if time is None else client.at(time, blocks="stacks", event=event)
    )
    return Lived(snapshot, await _change_before(client, snapshot))


async def _change_before(client: AsyncClient, snapshot: Snapshot) -> Comparison | None:
    at = seconds_of(snapshot)
    try:
        return await client.compare(at - BEFORE_SECONDS, at)
    except ClientError:
        return None  # not recorded: cells say n/a
