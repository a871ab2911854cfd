"""What commands print at a terminal: it fits, says what is there and why the rest is not, and pipes see none of it."""

import io
from argparse import Namespace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from blackbox.analysis.compare import compare
from blackbox.analysis.forecast import forecast
from blackbox.cli.commands import compare as compare_command
from blackbox.cli.common import screen as screens
from blackbox.cli.common.screen import Screen, screen_of
from blackbox.cli.screens import difference, happened, machine, outlook, series
from blackbox.merge import merge
from blackbox.model.event import EventKind
from blackbox.model.moment import Moment
from blackbox.model.query import History, NumberedEvent, Series
from blackbox.terminal.figures import between, clock
from blackbox.terminal.layout import TextLine, plain, width_of
from blackbox.terminal.ledger import gpu_labels
from tests.moments import GIB, TIMESTAMP, device, instance, memory, moment, process, sample
from tests.strategies import moments

sizes = st.builds(Screen, st.integers(80, 160), st.integers(23, 60), st.sampled_from([0, 16, 256]))
SCREEN = Screen(80, 44, 0)


def texts(lines: list[TextLine]) -> str:
    return "\n".join(map(plain, lines))


def event(kind: EventKind, message: str, seconds: float = 0.0, **changes: object) -> NumberedEvent:
    return NumberedEvent(id=1, kind=kind, timestamp=TIMESTAMP + seconds, message=message, **changes)  # type: ignore[arg-type]


@given(moments(), sizes)
def test_a_machine_of_any_kind_fits_its_screen(found: Moment, screen: Screen) -> None:
    snapshot = merge(found)
    told = machine.MachineView(snapshot, forecast(snapshot_time := 1.8e9, snapshot, [], EMPTY), None, ())
    shown = list(machine.lines(told, screen))
    assert snapshot_time
    assert all(width_of(line) <= screen.width for line in shown)
    assert len(shown) <= screen.height + len(snapshot.sources) * 3


EMPTY = History(from_=0.0, to=1.0, step_seconds=1.0, series=(), series_omitted=0)


def test_a_machine_shows_who_holds_how_much_and_what_is_not_known() -> None:
    rows = [process(4711, used_bytes=6 * GIB), process(4712, "MIG-1-3", used_bytes=GIB)]
    devices = [device(0, memory=memory(used=20 * GIB)), device(1), instance(1, 3)]
    snapshot = merge(moment(sample(devices, rows)))
    text = texts(list(machine.lines(machine.MachineView(snapshot, no_forecast="it keeps no recording"), SCREEN)))
    assert "whether one fills is not known: it keeps no recording" in text
    assert "20.0 of 80.0 GiB" in text
    assert "GPU 1 / MIG 3" in text
    assert "n/a, wants 'blackbox run'" in text
    assert "4711  python" in text


def test_the_head_tells_no_sum_of_what_was_not_measured() -> None:
    known, untold = device(0, memory=memory(used=20 * GIB)), device(1, memory=None, state="lost", reason="fell off")
    for devices, text in (([known, untold], "80 GiB used, 25 %, without GPU 1"), ([untold], "n/a used")):
        view = machine.MachineView(merge(moment(sample(devices, ()))), no_forecast="none")
        assert text in texts(list(machine.lines(view, SCREEN))).splitlines()[0].replace(".0 GiB", " GiB")


def test_what_the_processes_not_shown_hold_is_no_smaller_than_it_is_known_to_be() -> None:
    rows = [process(100 + place, used_bytes=GIB if place else None) for place in range(12)]
    snapshot = merge(moment(sample([device(memory=memory(used=20 * GIB))], rows)))
    text = texts(list(machine.lines(machine.MachineView(snapshot), Screen(80, 10, 0))))
    shown = sum("python" in line for line in text.splitlines())
    assert f"{12 - shown} more processes, {11 - shown}.0 GiB and 1 n/a" in text


def test_many_gpus_take_a_line_each_and_the_rest_is_counted() -> None:
    snapshot = merge(moment(sample([device(index) for index in range(60)])))
    shown = list(machine.lines(machine.MachineView(snapshot), Screen(80, 30, 0)))
    assert len(shown) <= 30
    assert "more GPUs: --gpu tells of one" in texts(shown)


def test_the_past_says_so_and_predicts_nothing() -> None:
    snapshot = merge(moment(sample([device()])))
    told = machine.MachineView(snapshot, asked_for=TIMESTAMP + 90)
    text = texts(list(machine.lines(told, SCREEN)))
    assert text.startswith(" PAST ")
    assert "1 min 30 s before the time asked for" in text
    assert "fills" not in text


def test_events_name_their_process_and_sizes_as_people_read_them() -> None:
    told = event("oom", "out of memory: tried to allocate 485410304 bytes", pid=7)
    assert happened.message(told) == "pid 7: out of memory: tried to allocate 462.9 MiB"
    text = texts(list(happened.lines([told], TIMESTAMP, SCREEN, None)))
    assert "v out of memory pid 7" in text
    assert "Times are local" in text


@given(st.lists(st.text(max_size=300), min_size=1, max_size=60), sizes)
def test_the_newest_events_that_fit_are_shown_whole(messages: list[str], screen: Screen) -> None:
    events = [event("xid", f"{place} {message}", place) for place, message in enumerate(messages)]
    shown = list(happened.lines(events, TIMESTAMP, screen, screen.height))
    assert all(width_of(line) <= screen.width for line in shown)
    assert len(shown) <= max(screen.height, 6)
    assert "xid" in texts(shown).lower()


def history(*rows: Series) -> History:
    return History(from_=TIMESTAMP, to=TIMESTAMP + 100, step_seconds=1.0, series=rows, series_omitted=0)


def row(pid: int | None, *points: tuple[float, float]) -> Series:
    return Series(
        gpu=0,
        pid=pid,
        metric="used_bytes",
        points=[(TIMESTAMP + at, value, value, value) for at, value in points],
        gpu_uuid="GPU-0",
        name="python" if pid else "Test GPU",
        start_time=None,
        engine=None,
    )


def test_a_series_shows_least_mean_and_most_and_leaves_gaps() -> None:
    shown = list(series.lines(history(row(None, (0, GIB), (99, 3 * GIB))), "used_bytes", {}, SCREEN, None))
    text = texts(shown)
    assert text.startswith("used_bytes in GiB")
    line = plain(shown[2])
    assert line.split()[:5] == ["GPU", "0", "1.0", "2.0", "3.0"]
    curve = line.rpartition("3.0  ")[2]
    assert len(curve) == series.curve_width(SCREEN)
    assert set(curve[1:-1]) == {" "}


def test_where_nothing_was_recorded_it_says_from_when_to_when_there_is_something() -> None:
    text = texts(list(series.lines(history(), "used_bytes", {}, SCREEN, (TIMESTAMP + 200, TIMESTAMP + 260))))
    assert "the recording reaches from" in text


def test_where_nothing_of_the_metric_was_recorded_it_does_not_say_that_nothing_was() -> None:
    text = texts(list(series.lines(history(), "kv_pages_used", {}, SCREEN, (TIMESTAMP, TIMESTAMP + 60))))
    assert "Nothing had kv_pages_used then" in text
    assert "recording reaches" not in text


def test_without_a_gpu_there_is_nothing_to_predict() -> None:
    snapshot = merge(moment(sample([])))
    text = texts(list(outlook.lines(forecast(TIMESTAMP, snapshot, [], EMPTY), {}, SCREEN)))
    assert text.startswith("The server sees no GPU")


TABLE_WIDTH = 60
"""Narrower than this the figures of a row do not fit, and are cut as they are printed."""


@given(st.integers(40, 160), st.floats(60, 6000))
def test_what_lies_ahead_is_told_whole_however_narrow(width: int, seconds: float) -> None:
    snapshot = merge(moment(sample([device()])))
    found = forecast(TIMESTAMP, snapshot, [], EMPTY)
    full = structs.replace(
        found.gpus[0], full_in_seconds=seconds, full_in_seconds_min=seconds / 2, full_in_seconds_max=seconds * 2
    )
    shown = list(outlook.lines(structs.replace(found, gpus=(full,)), {}, Screen(width, 24, 0)))
    assert width < TABLE_WIDTH or all(width_of(line) <= width for line in shown)
    text = " ".join(texts(shown).split())
    assert f"({between(seconds / 2, seconds, seconds * 2)})" in text


def test_an_outlook_says_what_has_no_trend() -> None:
    snapshot = merge(moment(sample([device()])))
    early = forecast(TIMESTAMP, snapshot, [], EMPTY)
    known = structs.replace(early, gpus=(structs.replace(early.gpus[0], unknown={}, predictable_from=None),))
    text = texts(list(outlook.lines(known, {"GPU-0": "GPU 0"}, SCREEN)))
    assert text.startswith("Nothing has a trend that fills a GPU.")
    assert "no trend" in text


def test_an_outlook_says_from_when_on_it_can_be_told_or_why_not() -> None:
    snapshot = merge(moment(sample([device()])))
    early = forecast(TIMESTAMP, snapshot, [], EMPTY)
    at = clock(TIMESTAMP + 36, TIMESTAMP)
    text = texts(list(outlook.lines(early, {"GPU-0": "GPU 0"}, SCREEN)))
    assert text.startswith(f"Whether it fills cannot be told before {at}: too little is recorded yet.")
    assert f"not known before {at}" in text
    gpu = structs.replace(early.gpus[0], predictable_from=None, unknown={"full_in_seconds": "lost"})
    lost = structs.replace(early, gpus=(gpu,))
    text = texts(list(outlook.lines(lost, {"GPU-0": "GPU 0"}, SCREEN)))
    assert text.startswith("Whether GPU 0 fills is not known: lost.")


def test_a_difference_puts_each_process_on_a_line() -> None:
    before = merge(moment(sample([device()], [process(1, used_bytes=2 * GIB)])))
    after = merge(moment(sample([device()], [process(1, used_bytes=5 * GIB)]), seq=2))
    text = texts(list(difference.lines(compare(before, after), {}, SCREEN)))
    assert "+3.0 GiB ━━━━━━━━━━━━  GPU 0  python 1  grown: 2.0 GiB, then 5.0 GiB" in text
    assert "0 processes did not change" in text


def test_a_process_on_a_slice_is_said_to_be_there() -> None:
    devices = [device(0), instance(0, 1)]
    before = merge(moment(sample(devices, [process(1, "MIG-0-1", used_bytes=2 * GIB)])))
    after = merge(moment(sample(devices, [process(1, "MIG-0-1", used_bytes=5 * GIB)]), seq=2))
    found = compare(before, after)
    assert "  GPU 0 / MIG 1  python 1  grown" in texts(list(difference.lines(found, gpu_labels(after), SCREEN)))
    assert "  GPU 0 / MIG 1  python (pid 1): 2.0 GiB" in "\n".join(compare_command.lines(found, gpu_labels(after)))
    assert "  MIG-0-1  python 1  grown" in texts(list(difference.lines(found, {}, SCREEN))), "where it is gone since"


@given(moments(), moments(), sizes)
def test_any_difference_fits(one: Moment, other: Moment, screen: Screen) -> None:
    shown = list(difference.lines(compare(merge(one), merge(other)), {}, screen))
    assert len(shown) <= max(screen.height, 40)
    for line in shown:
        plain(line)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "asked", "expected"),
    [
        (True, {}, True),
        (True, {"json": True}, False),
        (True, {"compact": True}, False),
        (False, {}, False),
    ],
)
def test_a_screen_is_for_terminals_and_for_those_who_want_no_json(
    terminal: bool, asked: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screens, "sys", SimpleNamespace(stdout=Terminal() if terminal else io.StringIO()))
    found = screen_of(Namespace(**asked), {"TERM": "xterm-256color", "NO_COLOR": "1"})
    assert (found is not None) == expected
    if found is not None:
        assert found.depth == 0
        found.show(((),))
