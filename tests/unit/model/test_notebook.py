"""What notebooks show: escaped, small, and never a number that nobody measured."""

import sys
from html.parser import HTMLParser
from typing import Any

import pytest
from msgspec import structs

import blackbox
from blackbox.client.rows import Rows
from blackbox.merge import merge
from blackbox.model import notebook
from blackbox.model.forecast import Advice, Forecast, Outlook
from blackbox.model.query import (
    Chart,
    ChartSeries,
    Comparison,
    History,
    Mark,
    ProcessChange,
    Series,
    Side,
    StackChange,
)
from blackbox.model.snapshot import Process, Snapshot
from tests import moments

EVIL = "<script>alert(1)</script>"


class Tags(HTMLParser):
    """The tags of a page, each opened and closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        self.cells += [data] if self.open[-1:] == ["td"] else []


def shown(answer: Any) -> Tags:
    tags = Tags(answer._repr_html_())
    assert tags.open == []
    return tags


def snapshot() -> Snapshot:
    return merge(moments.moment(moments.machine()))


def history() -> History:
    points = [(1e9, 1, 2.0, 3), (1e9 + 60, None, None, None)]
    series = Series(
        gpu=0, pid=7, metric="used_bytes", points=points, gpu_uuid="GPU-0", name=EVIL, start_time=None, engine=None
    )
    return History(from_=1e9, to=1e9 + 120, step_seconds=60, series=(series,), series_omitted=0)


def chart() -> Chart:
    values: list[int | float | None] = [1 << 30, None, 2 << 30]
    series = ChartSeries(
        gpu=0,
        pid=7,
        metric="used_bytes",
        gpu_uuid="GPU-0",
        name=EVIL,
        start_time=None,
        engine=None,
        low=values,
        mean=values,
        high=values,
    )
    mark = Mark(id=1, kind="oom", timestamp=1e9, message=EVIL, gpu_uuid=None, pid=None)
    return Chart(
        from_=1e9,
        to=1e9 + 180,
        start=1e9,
        step_seconds=60,
        steps=3,
        series=(series,),
        series_omitted=0,
        marks=(mark,),
        marks_omitted=False,
        recorded_from=None,
        recorded_to=None,
    )


def comparison() -> Comparison:
    stack = StackChange(
        frames=("a.py:1 f",),
        type="weight",
        subtype=None,
        before_bytes=0,
        after_bytes=5,
        delta_bytes=5,
        unknown={"before_bytes": "no history"},
    )
    process = ProcessChange(
        change="grown",
        gpu=0,
        gpu_uuid="GPU-0",
        pid=7,
        name=EVIL,
        start_time=None,
        before_bytes=0,
        after_bytes=1 << 30,
        delta_bytes=1 << 30,
        types=(),
        stacks=(stack,),
        unknown={},
    )
    sides = [Side(seq=seq, timestamp=f"2026-11-22T03:0{seq}:00.000Z", used_bytes=seq << 30) for seq in (1, 2)]
    return Comparison(a=sides[0], b=sides[1], delta_bytes=1 << 30, processes=(process,), unchanged=3)


def forecast() -> Forecast:
    outlook = Outlook(
        gpu=0,
        gpu_uuid="GPU-0",
        pid=None,
        name=EVIL,
        start_time=None,
        used_bytes=1 << 30,
        headroom_bytes=2 << 30,
        full_in_seconds_min=None,
        full_in_seconds=60.0,
        full_in_seconds_max=None,
        evidence=None,
        message=EVIL,
    )
    advice = Advice(
        engine="vllm",
        pid=7,
        model=None,
        used_ratio_max=0.1,
        seen_seconds=60.0,
        pool_bytes=None,
        spare_bytes=None,
        setting="x",
        message=EVIL,
    )
    return Forecast(timestamp=1e9, gpus=(outlook,), processes=(structs.replace(outlook, pid=7),), advice=(advice,))


def test_a_chart_has_figures_and_a_course_with_gaps() -> None:
    tags = shown(chart())
    assert tags.seen.count("rect") == 2
    assert {"1.0 GiB", "1.5 GiB", "2.0 GiB"} <= set(tags.cells)
    assert EVIL in tags.text
    frame = chart().to_pandas()
    assert list(frame["mean"].isna()) == [False, True, False]
    assert list(frame["time"].diff().dt.total_seconds()[1:]) == [60, 60]


def test_a_history_has_the_same_figures() -> None:
    tags = shown(history())
    assert {"1 B", "2 B", "3 B"} <= set(tags.cells)


def test_the_course_of_a_long_chart_stays_small() -> None:
    long = [1.0] * 10_000
    series = structs.replace(chart().series[0], low=long, mean=long, high=long)
    assert shown(structs.replace(chart(), series=(series,))).seen.count("rect") <= notebook.CURVE_POINTS_MAX


def test_a_comparison_tells_processes_and_their_parts() -> None:
    tags = shown(comparison())
    assert "used 1.0 GiB, then 2.0 GiB" in tags.text
    assert "grown" in tags.cells
    assert list(comparison().to_pandas()["delta_bytes"]) == [1 << 30]
    stacks = comparison().to_pandas("stacks")
    assert list(stacks["pid"]) == [7]
    assert stacks["before_bytes"].isna().all(), "nobody told it"
    assert len(comparison().to_pandas("types")) == 0


def test_a_forecast_tells_gpus_then_processes_then_advice() -> None:
    tags = shown(forecast())
    assert tags.seen.count("tr") == 3
    assert tags.text.endswith(EVIL)
    frame = forecast().to_pandas()
    assert list(frame["pid"].isna()) == [True, False]
    assert list(frame["full_in_seconds"]) == [60.0, 60.0]


def test_a_snapshot_is_a_bar_per_gpu_and_a_table_of_processes() -> None:
    answer = snapshot()
    tags = shown(answer)
    parents = {gpu.parent_uuid for gpu in answer.gpus}
    assert tags.seen.count("div") == len([gpu for gpu in answer.gpus if gpu.uuid not in parents])
    assert tags.seen.count("tr") == 1 + min(len(answer.processes), notebook.ROWS_MAX)
    assert ("SIMULATED" in tags.text) == answer.simulated


def test_names_cannot_be_code() -> None:
    answer = snapshot()
    processes = tuple(structs.replace(process, name=EVIL) for process in answer.processes)
    answers = (structs.replace(answer, processes=processes, host=EVIL), history(), Rows(processes))
    for evil in (*answers, chart(), comparison(), forecast()):
        assert "script" not in shown(evil).seen
        assert EVIL not in evil._repr_html_()


def test_what_nobody_measured_is_no_number() -> None:
    process = structs.replace(snapshot().processes[0], used_bytes=0, unknown={"used_bytes": 'the driver "will not"'})
    html = Rows([process])._repr_html_()
    assert 'title="the driver &quot;will not&quot;">n/a<' in html
    frame = Rows([process]).to_pandas()
    assert frame["used_bytes"].isna().all()


def test_a_large_machine_is_shown_small() -> None:
    answer = snapshot()
    many = tuple(structs.replace(answer.processes[0], pid=pid) for pid in range(5000))
    text = structs.replace(answer, processes=many)._repr_html_()
    assert len(text) < 100_000
    assert f"{5000 - notebook.ROWS_MAX} more" in text


def test_data_frames_have_a_line_per_row() -> None:
    import pandas  # a second, which every process that looks for tests would spend

    answer = snapshot()
    frame = answer.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["pid"]) == [process.pid for process in answer.processes]
    assert len(answer.to_pandas("gpus")) == len(answer.gpus)
    assert len(answer.to_pandas("blocks")) == len(answer.blocks)
    told = history().to_pandas()
    assert list(told["mean"].isna()) == [False, True]
    assert str(told["time"].dt.tz) == "UTC"
    assert list(Rows[Process](()).to_pandas().columns) == []


def test_without_pandas_one_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    for answer in (snapshot(), history(), Rows(snapshot().processes), chart(), comparison(), forecast()):
        with pytest.raises(ImportError, match="pip install pandas"):
            answer.to_pandas()


def test_rows_are_the_tuple_they_were() -> None:
    rows = Rows(snapshot().processes)
    assert rows == snapshot().processes
    assert isinstance(rows, tuple)
    assert shown(Rows(())).text == "nothing"


def test_the_package_lists_all_it_has() -> None:
    assert {"Client", "AsyncClient", "attach"} <= set(dir(blackbox))
    assert set(blackbox.__all__) <= set(dir(blackbox))
