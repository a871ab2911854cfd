"""Threads, owners and namespaces from a /proc of our own making, and from the real one."""

import os
import threading
from pathlib import Path

import pytest

from blackbox.sources.proc.threads import Task, Tasks


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for outer, inner, state in ((500, 1, "R"), (501, 7, "S"), (502, 8, "Z")):
        task = tmp_path / "500" / "task" / str(outer)
        task.mkdir(parents=True)
        fields = [state, *["0"] * 10, "30", "12", *["0"] * 10]
        (task / "stat").write_text(f"{outer} (a (strange) name) {' '.join(fields)}\n")
        (task / "status").write_text(f"Name:\tx\nNSpid:\t{outer}\t{inner}\n")
    (tmp_path / "500" / "status").write_text("Name:\tx\nUid:\t1000\t0\t0\t0\n")
    return tmp_path


def test_a_thread_is_read_past_any_name(proc: Path) -> None:
    assert Tasks(proc).look(500, 500) == Task("a (strange) name", True, 42)
    assert Tasks(proc).look(500, 501) == Task("a (strange) name", False, 42)


def test_a_thread_that_has_ended_is_none(proc: Path) -> None:
    assert Tasks(proc).look(500, 502) is None
    assert Tasks(proc).look(500, 999) is None
    assert Tasks(proc).owner(999) is None
    assert Tasks(proc).ids(999) == {}
    assert Tasks(proc).pid_namespace(999) == 0


def test_ids_of_another_namespace_are_translated(proc: Path) -> None:
    assert Tasks(proc).ids(500) == {1: 500, 7: 501, 8: 502}


def test_the_owner_is_the_real_user(proc: Path) -> None:
    assert Tasks(proc).owner(500) == 1000


def test_the_real_proc_knows_this_thread() -> None:
    tasks, pid, thread = Tasks(), os.getpid(), threading.get_native_id()
    found = tasks.look(pid, thread)
    assert found is not None
    assert found.is_running
    assert tasks.owner(pid) == os.getuid()
    assert tasks.pid_namespace(pid) == tasks.pid_namespace(None) != 0
    assert thread in tasks.ids(pid).values()
