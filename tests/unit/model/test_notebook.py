"""What notebooks show: escaped, small, and never a number that nobody measured."""

import sys
from html.parser import HTMLParser
from typing import Any

import pandas
import pytest
from msgspec import structs

import blackbox
from blackbox.client.rows import Rows
from blackbox.merge import merge
from blackbox.model import notebook
from blackbox.model.query import History, Series
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
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


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
    for evil in (structs.replace(answer, processes=processes, host=EVIL), history(), Rows(processes)):
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
    for answer in (snapshot(), history(), Rows(snapshot().processes)):
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
