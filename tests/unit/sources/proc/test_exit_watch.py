"""The end of real processes, awaited."""

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
