"""Pages are made of what is known, at any size: what fits, nothing wider, and the reason of what is missing."""

import pytest
from msgspec.structs import replace

from blackbox.analysis.compare import compare
from blackbox.merge import merge
from blackbox.model.event import EventKind
from blackbox.model.query import Chart, ChartSeries, NumberedEvent
from blackbox.model.snapshot import Snapshot
from blackbox.terminal.layout import plain, text_width
from blackbox.tui import frame
from blackbox.tui.actions import STEP_OF_KEY
from blackbox.tui.answers import Answers, ChartTable, Lived
from blackbox.tui.course import moved, moved_from
from blackbox.tui.feed import Connection, ServerState
from blackbox.tui.pages import PAGE_LINES
from blackbox.tui.requests import compare_key, compared_times
from blackbox.tui.scene import PageLines, Scene
from blackbox.tui.view import GROUPINGS, PAGES, Page, View
from tests.moments import GIB, TRAINER, machine, moment, process

SIZES = ((200, 60), (120, 40), (80, 24))
START = 1_800_000_000.0
KINDS: tuple[EventKind, ...] = ("oom", "crash", "process_exit", "process_start", "threshold")


def snapshot(timestamp: float = START) -> Snapshot:
    return merge(moment(machine(), timestamp=timestamp))


def state(name: str = "http://one") -> ServerState:
    """A server that is heard."""
    server = ServerState(name)
    server.connection = Connection("live", START)
    server.take_snapshot(snapshot())
    server.take_events(
        tuple(
            NumberedEvent(id=number, kind=kind, timestamp=START - number, message=f"something of {kind}", pid=TRAINER)
            for number, kind in enumerate(KINDS, 1)
        )
    )
    return server


def scene(page: Page, width: int = 120, height: int = 40, *servers: ServerState, depth: int = 24) -> Scene:
    view = View()
    view.go(page)
    return Scene(width, height, depth, servers or (state(),), view, Answers(), START)  # pyright: ignore[reportArgumentType]


def told(scene: Scene) -> str:
    """The page's words; no line is wider than the screen."""
    found = PAGE_LINES[scene.view.page](scene).lines
    assert max((text_width(plain(line)) for line in found), default=0) <= scene.width
    return "\n".join(map(plain, found))


def answered(page: Page, width: int = 120, height: int = 40) -> Scene:
    """With all that the page asks for."""
    made = scene(page, width, height)
    before, after = snapshot(START - 60), snapshot()
    change = compare(before, after)
    key = (0, None, None)
    made.answers.lived.key, made.answers.lived.value = key, Lived(after, change)
    made.answers.comparison.key, made.answers.comparison.value = compare_key(made), change
    return made


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_with_and_without_answers(page: Page, width: int, height: int) -> None:
    assert told(scene(page, width, height)).strip()
    assert told(answered(page, width, height)).strip()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("grouping", range(len(GROUPINGS)))
def test_a_moment_fits_however_it_is_grouped(grouping: int, width: int, height: int) -> None:
    made = answered("moment", width, height)
    made.view.grouping = grouping
    assert told(made).strip()


def test_the_icicle_is_looked_into_and_out_of() -> None:
    made = answered("moment")
    made.view.grouping = GROUPINGS.index("icicle")
    words = told(made)
    assert "all that is held" in words
    assert f"python {TRAINER}" in words
    page = PAGE_LINES["moment"](made)
    press(made, page, "z")
    assert len(made.view.inside) == 1, "the first box, which is the largest process"
    assert f" {made.view.inside[0]}  " in told(made)
    assert "Backspace: out" in told(made)
    press(made, page, "backspace")
    assert (made.view.inside, told(made)) == ((), words)
    made.view.filter = "nothing of that name"
    assert "no stack matches" in told(made)
    press(made, page, "z")
    assert made.view.inside == ()


def test_keys_of_the_icicle_do_nothing_elsewhere() -> None:
    made = answered("moment")
    page = PAGE_LINES["moment"](made)
    press(made, page, "z")
    press(made, page, "backspace")
    assert made.view.inside == ()


def press(scene: Scene, page: PageLines, key: str) -> None:
    STEP_OF_KEY[key].act(scene, page)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_without_a_server_says_what_it_waits_for(page: Page) -> None:
    lost = ServerState("http://gone")
    lost.connection = Connection("lost", START, "connection refused", START + 5)
    assert "does not answer yet" in told(scene(page, 80, 24, lost))


def test_the_overview_names_every_gpu_and_who_holds_it() -> None:
    words = told(scene("overview"))
    assert "GPU 0" in words
    assert "python 4713" in words
    assert "MIG 1" in words


def test_servers_stand_side_by_side_where_there_is_room() -> None:
    both = state("http://one"), state("http://two")
    assert len(told(scene("overview", 200, 50, *both)).split("\n")) < len(
        told(scene("overview", 80, 50, *both)).split("\n")
    )


def test_processes_are_rows_with_what_they_hold() -> None:
    words = told(scene("processes"))
    assert "5.0" in words
    assert str(TRAINER) in words


def test_incidents_are_listed_with_what_they_were() -> None:
    words = told(scene("incidents"))
    assert "Something of oom" in words
    assert "out of memory" in words


def test_a_comparison_tells_what_grew() -> None:
    made = scene("compare")
    before = machine()
    rows = tuple(process(TRAINER, used_bytes=7 * GIB) if row.pid == TRAINER else row for row in before.processes)
    after = merge(moment(replace(before, processes=rows)))
    made.answers.comparison.key, made.answers.comparison.value = compare_key(made), compare(snapshot(), after)
    assert "2.0 GiB" in told(made) or "+2.0" in told(made)


def recorded_for(page: Page, seconds: int, width: int = 120, steps: int = 300) -> Scene:
    """A recording that began so long ago, as the answer for a strip of so many seconds tells it."""
    made = scene(page, width)
    begin = START - seconds

    def series(uuid: str, pid: int | None, start_time: float | None, used: float) -> ChartSeries:
        values = [used if START - steps + step >= begin else None for step in range(steps + 1)]
        return ChartSeries(
            gpu=0, pid=pid, metric="used_bytes", gpu_uuid=uuid, name=None, start_time=start_time, engine=None,
            low=values, mean=values, high=values,
        )  # fmt: skip

    leaves = made.leaves
    rows = [series(leaf.gpu.uuid, None, None, leaf.gpu.used_bytes) for leaf in leaves]
    held = [ledger.process for leaf in leaves for ledger in leaf.processes]
    rows += [series(one.gpu_uuid, one.pid, one.start_time, one.used_bytes / 2) for one in held]
    chart = Chart(
        from_=START - steps, to=START, start=START - steps, step_seconds=1.0, steps=steps + 1, series=tuple(rows),
        series_omitted=0, marks=(), marks_omitted=False, recorded_from=begin, recorded_to=START,
    )  # fmt: skip
    made.answers.chart.value = ChartTable(chart)
    return made


def test_the_last_two_minutes_begin_where_the_recording_begins() -> None:
    young, old = recorded_for("overview", 30), recorded_for("overview", 290)
    assert (moved_from(young), moved_from(old)) == (START - 30, START - 120)
    assert "Change in 30 s" in told(young)
    assert "Change in 2 min" in told(old)
    assert not any(one.is_new for one in moved(young))  # they hold what they held when the recording began
    assert all(one.bytes > 0 for one in moved(young))
    strips = ["\n".join(plain(line) for line in frame.strip(made)) for made in (young, recorded_for("overview", 400))]
    assert f"from {young.clock(START - 30)}" in strips[0]
    assert "to now" in strips[1]


def test_a_shorter_strip_tells_of_no_more_than_it_shows() -> None:
    near = recorded_for("overview", 290, steps=30)
    assert moved_from(near) == START - 30
    assert "Change in 30 s" in told(near)


def test_a_comparison_begins_where_the_recording_begins() -> None:
    young = recorded_for("compare", 30)
    assert compared_times(young) == (START - 29, None)
    assert compared_times(recorded_for("compare", 290)) == (START - 120, None)
    young.view.a = START - 500  # what was chosen stays, and the answer says why not
    assert compared_times(young)[0] == START - 500


def test_the_frame_names_the_page_and_its_state() -> None:
    made = scene("health")
    words = "\n".join(plain(line) for line in frame.head(made))
    assert "Health" in words
    assert "LIVE" in words
    lost = made.server
    lost.connection = Connection("lost", START, "connection refused", START + 5)
    assert "LOST" in "\n".join(plain(line) for line in frame.head(made))
    assert plain(frame.foot(made)).strip()
    assert max(text_width(plain(line)) for line in frame.strip(made)) <= made.width
