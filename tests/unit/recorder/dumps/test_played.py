"""A dump that may come from anyone, played by a server."""

import contextlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from blackbox.errors import FailureError
from blackbox.recorder.dumps import played
from blackbox.recorder.dumps.file import Dump, new_head, write_dump
from blackbox.recorder.dumps.played import played_moments
from blackbox.recorder.storage.moment_events import without_event_blocks
from tests import failures, incidents
from tests.failures import listed
from tests.moments import moment, sample
from tests.recorded_moments import event


def dump_of(path: Path, *moments: Any) -> Path:
    """A dump of these moments."""
    write_dump(path, new_head("test", 0.0, 2e9), moments, [])
    return path


def test_its_moments_come_as_they_are_in_the_file(tmp_path: Path) -> None:
    path = dump_of(tmp_path / "x.bbdump", *incidents.leak()[:5])
    assert list(played_moments(path)) == list(Dump(path).moments())


def test_a_failure_is_played_with_the_blocks_that_the_dump_has_of_it(tmp_path: Path) -> None:
    failed = failures.with_blocks(listed(300))
    told = moment(sample((), events=(failed,)))
    path = tmp_path / "x.bbdump"
    write_dump(path, new_head("test", 0.0, 2e9), [without_event_blocks(told)], [event(), failed])
    assert list(played_moments(path)) == [told]


def test_what_is_no_dump_is_refused_at_once_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.bbdump"
    path.write_bytes(b"something else")
    with pytest.raises(FailureError, match="not a dump of Blackbox") as refused:
        played_moments(path)
    assert "\n" not in str(refused.value)


def test_a_moment_of_impossible_numbers_costs_itself(tmp_path: Path) -> None:
    path = dump_of(tmp_path / "x.bbdump", moment(seq=1), moment(seq=2, timestamp=1e300), moment(seq=3))
    assert [one.seq for one in Dump(path).moments()] == [1, 2, 3]
    assert [one.seq for one in played_moments(path)] == [1, 3]


def test_what_takes_more_memory_than_the_child_may_have_is_not_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dump_of(tmp_path / "x.bbdump", moment(host="x" * (40 << 20)))
    assert path.stat().st_size < 1 << 20
    assert [one.seq for one in played_moments(path)] == [1]
    monkeypatch.setattr(played, "MEMORY_BYTES_MAX", 16 << 20)
    with contextlib.suppress(FailureError):
        assert list(played_moments(path)) == []


def test_a_moment_larger_than_any_machines_costs_itself(tmp_path: Path) -> None:
    large = moment(seq=2, host="x" * (played.MOMENT_BYTES_MAX + 1))
    path = dump_of(tmp_path / "x.bbdump", moment(seq=1), large, moment(seq=3))
    assert [one.seq for one in played_moments(path)] == [1, 3]


def test_closing_it_ends_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[Any] = []
    begin = subprocess.Popen

    def noted(*arguments: Any, **options: Any) -> Any:
        children.append(begin(*arguments, **options))
        return children[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    moments = played_moments(dump_of(tmp_path / "x.bbdump", *incidents.leak()))
    next(moments)
    moments.close()
    assert [child.returncode is None for child in children] == [False]
