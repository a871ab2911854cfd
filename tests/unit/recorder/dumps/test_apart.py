"""Dumps that a helper process makes."""

import logging
from pathlib import Path

import psutil
import pytest

from blackbox.errors import FailureError
from blackbox.model.event import Event
from blackbox.recorder.dumps import apart as module
from blackbox.recorder.dumps import keeper as keeper_module
from blackbox.recorder.dumps.apart import KeepApart
from blackbox.recorder.dumps.file import Dump
from blackbox.recorder.dumps.keeper import DumpKeeper, keep
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage.dump_files import dumps_in
from blackbox.recorder.storage.helper import HelperLostError
from tests import incidents
from tests.moments import TIMESTAMP
from tests.recordings import recorded
from tests.waiting import PATIENCE_SECONDS, until

ROOT = Path(__file__).parents[4]
LOST = HelperLostError("its process was killed by SIGKILL")


@pytest.fixture(autouse=True)
def tasks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def an_oom() -> Event:
    return Event(kind="oom", timestamp=TIMESTAMP, message="out of memory", gpu_uuid="GPU-1", pid=4711)


def test_it_is_the_dump_that_the_server_would_make(tmp_path: Path) -> None:
    moments = incidents.leak()[-40:]
    (oom,) = (event for moment in moments for sample in moment.samples for event in sample.events)
    now = moments[-1].timestamp
    with recorded(tmp_path / "data", moments) as recorder:
        paths = [
            make(recorder.recording, tmp_path / name, oom, now)
            for name, make in (("here", keep), ("apart", KeepApart().keep))
        ]
    here, apart = (Dump(path) for path in paths)
    assert paths[0].name == paths[1].name
    assert list(apart.moments()) == list(here.moments())
    assert apart.events() == here.events()
    assert len(apart.events()) == 1
    assert (apart.head.reason, apart.is_cut, apart.damaged) == (here.head.reason, False, 0)


def test_what_keeps_it_from_being_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "dumps").write_bytes(b"a file")
    with pytest.raises(FailureError) as raised:
        KeepApart().keep(Recording(tmp_path), tmp_path / "dumps", an_oom(), TIMESTAMP)
    assert "\n" not in str(raised.value)


def test_where_no_helper_can_be_started_the_server_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **_more: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("subprocess.Popen", refused)
    path = KeepApart().keep(Recording(tmp_path), tmp_path / "dumps", an_oom(), TIMESTAMP)
    assert Dump(path).events() == [an_oom()]


def test_a_helper_that_dies_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TASK", "tests.helper_tasks:leave_a_part")
    with pytest.raises(HelperLostError, match="was killed by SIGKILL"):
        KeepApart().keep(Recording(tmp_path), tmp_path / "dumps", an_oom(), TIMESTAMP)
    assert list((tmp_path / "dumps").iterdir()) == []


@pytest.mark.fault(71)
def test_row_71_a_dump_whose_helper_is_killed_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper_module, "AGAIN_SECONDS", (0.0, 0.0))
    ends = [LOST, LOST]

    def write(recording: Recording, directory: Path, event: Event, now: float) -> Path:
        if ends:
            raise ends.pop()
        return keep(recording, directory, event, now)

    keeper = DumpKeeper(tmp_path / "dumps", Recording(tmp_path), lambda: TIMESTAMP, 0, write=write)
    with caplog.at_level(logging.WARNING):
        keeper.note(an_oom())
        until(lambda: not keeper.pending)
    keeper.close(PATIENCE_SECONDS)
    (found,) = dumps_in(tmp_path / "dumps")
    assert Dump(found.path).events() == [an_oom()]
    told = [record.getMessage() for record in caplog.records]
    assert told[:2] == ["the dump is made again in 0 s (out of memory): its process was killed by SIGKILL"] * 2
    assert told[2].startswith("kept the minutes before (out of memory)")


def test_after_some_times_it_is_given_up_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper_module, "AGAIN_SECONDS", (0.0,))

    def write(*_: object) -> Path:
        raise LOST

    keeper = DumpKeeper(tmp_path / "dumps", Recording(tmp_path), lambda: TIMESTAMP, 0, write=write)
    with caplog.at_level(logging.WARNING):
        keeper.note(an_oom())
        keeper.close(PATIENCE_SECONDS)
    assert caplog.records[-1].getMessage() == "no dump (out of memory): its process was killed by SIGKILL"


@pytest.mark.fault(71)
def test_row_71_a_server_that_stops_waits_for_no_helper_beyond_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "TASK", "tests.helper_tasks:never")
    monkeypatch.setattr(keeper_module, "END_SECONDS_MAX", PATIENCE_SECONDS)
    apart = KeepApart()
    keeper = DumpKeeper(tmp_path / "dumps", Recording(tmp_path), lambda: TIMESTAMP, 0, write=apart.keep, end=apart.end)
    keeper.note(an_oom())
    until(lambda: apart._helper is not None)
    helper = apart._helper
    assert helper is not None
    with caplog.at_level(logging.WARNING):
        keeper.close(0.01)
    assert not keeper._thread.is_alive()
    assert not psutil.pid_exists(helper.pid)
    assert caplog.records[-1].getMessage() == "no dump (out of memory): the server stops"
