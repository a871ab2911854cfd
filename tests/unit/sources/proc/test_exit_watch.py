"""The end of real processes, awaited."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from blackbox.events.listing import Listings
from blackbox.events.orphans import OrphanDetector, Parent, parent_of_zombie
from blackbox.sources.proc import exit_status
from blackbox.sources.proc.exit_watch import ExitWatch
from tests.moments import NOW, device, moment, process, sample
from tests.waiting import until


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    with ExitStack() as stack:
        found = [stack.enter_context(subprocess.Popen(["sleep", "60"])) for _ in range(3)]
        for one in found:
            stack.callback(one.kill)
        yield found


def test_whoever_ends_is_told_once_and_awaited_no_longer(sleepers: list[subprocess.Popen[bytes]]) -> None:
    watch = ExitWatch(3)
    first, second, third = sleepers
    assert all(watch.add(one.pid) for one in (*sleepers, first))
    assert watch.ended() == []
    second.kill()
    assert until(watch.ended) == [second.pid]
    assert second.pid not in watch
    assert watch.ended() == []
    watch.discard(third.pid)
    third.kill()
    first.kill()
    assert until(watch.ended) == [first.pid]


def test_there_is_no_room_for_more_than_it_may(sleepers: list[subprocess.Popen[bytes]]) -> None:
    watch = ExitWatch(1)
    first, second, _ = sleepers
    assert watch.add(first.pid)
    assert not watch.add(second.pid)
    watch.discard(first.pid)
    assert watch.add(second.pid)


def test_nobody_is_awaited_who_is_not_there(sleepers: list[subprocess.Popen[bytes]]) -> None:
    sleepers[0].kill()
    sleepers[0].wait()
    assert not ExitWatch().add(sleepers[0].pid)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_its_files_go_with_it(sleepers: list[subprocess.Popen[bytes]]) -> None:
    before = open_files()
    watch = ExitWatch()
    for one in sleepers:
        watch.add(one.pid)
    assert open_files() == before + 4
    del watch
    assert open_files() == before


def test_whose_end_cannot_be_awaited_for_want_of_files_is_not_told_to_be(
    sleepers: list[subprocess.Popen[bytes]],
) -> None:
    watch, before = ExitWatch(3), open_files()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open("/", os.O_RDONLY)
    os.close(spare)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare + 1, limits[1]))  # one more: the process's, and no epoll
        assert not watch.add(sleepers[0].pid)
        assert sleepers[0].pid not in watch
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert open_files() == before
    assert watch.add(sleepers[0].pid)


def test_whoever_is_discarded_is_forgotten_though_a_child_has_its_file(sleepers: list[subprocess.Popen[bytes]]) -> None:
    watch, before = ExitWatch(3), pidfds()
    first, second, _ = sleepers
    watch.add(first.pid)
    (file,) = pidfds() - before
    child_has = os.dup(file)  # as between a fork and an exec
    try:
        watch.discard(first.pid)
        watch.add(second.pid)
        first.kill()
        first.wait()
        assert watch.ended() == []
        assert second.pid in watch
    finally:
        os.close(child_has)


def pidfds() -> set[int]:
    links = {int(path.name): path.resolve() for path in Path("/proc/self/fd").iterdir()}
    return {file for file, link in links.items() if "pidfd" in link.name}


@pytest.mark.parametrize("room", [0, 1, 3])
def test_a_zombie_is_found_whether_its_end_is_awaited_or_looked_for(
    sleepers: list[subprocess.Popen[bytes]], room: int
) -> None:
    looks: list[int] = []

    def look(pid: int) -> Parent | None:
        looks.append(pid)
        return parent_of_zombie(pid)

    orphans = OrphanDetector(parent_of_zombie=look, exit_watch=ExitWatch(room))
    rows = [process(one.pid) for one in sleepers]
    listings = Listings()

    def observe(second: float) -> list[int | None]:
        at = moment(sample([device()], rows, facts={"pid_scope": "host"}), taken_at=NOW + second)
        return [event.pid for event in orphans.observe(at, listings.of(at))]

    for second in range(20):
        assert observe(second) == []
    if room == len(sleepers):
        assert sorted(looks) == sorted(one.pid for one in sleepers)
    dead = sleepers[1]
    dead.kill()
    until(lambda: (found := exit_status.look(dead.pid)) is not None and found.is_dead)
    assert [pid for second in range(20, 60) for pid in observe(second)] == [dead.pid]
