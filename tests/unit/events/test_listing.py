"""What is kept from one moment to the next: events are the same as those found by reading every moment anew."""

from contextlib import suppress

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from blackbox.events import EventDetectors
from blackbox.events.exits import ProcessExits
from blackbox.events.listing import Listings, list_processes
from blackbox.events.orphans import Parent
from blackbox.model.listed import ListedProcesses
from blackbox.model.moment import Moment
from blackbox.model.parts import DeviceProcess
from tests import moments
from tests.moments import GIB, device, process, sample

PIDS = (10, 11, 12)
Row = tuple[int, int, bool]
"""Pid, bytes, and whether /proc shows it."""
Step = tuple[tuple[Row, ...], bool, float]
"""The processes, whether their device can be read, and the seconds since the step before."""


def rows(of: tuple[Row, ...]) -> tuple[DeviceProcess, ...]:
    return tuple(
        process(pid, used_bytes=used, name="x" if is_seen else None, start_time=1000.0 if is_seen else None)
        for pid, used, is_seen in dict.fromkeys(of)
        if pid == next(one[0] for one in of if one[0] == pid)
    )


steps = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from(PIDS), st.sampled_from((0, GIB, 2 * GIB)), st.booleans()),
            max_size=3,
            unique_by=lambda row: row[0],
        ).map(tuple),
        st.booleans(),
        st.sampled_from((0.5, 1.0, 6.0)),
    ),
    max_size=12,
)


def course(of: list[Step], *, shared: bool) -> list[Moment]:
    """The moments; `shared`: equal lists of processes are one object, and those that differ in amounts alone from the
    one before have its roster, as the sources hand them on."""
    known: dict[tuple[Row, ...], ListedProcesses] = {}
    before = ListedProcesses.of(())
    made: list[Moment] = []
    now = 100.0
    for number, (told, is_read, seconds) in enumerate(of):
        now += seconds
        listed = rows(told)
        if shared:
            listed = before = known.setdefault(told, next_list(before, listed))
        gpu = device(0, state="ok" if is_read else "failed", reason=None if is_read else "it fails")
        one = structs.replace(sample((gpu,), facts={"pid_scope": "host"}), processes=listed)
        made.append(moments.moment(one, seq=number, taken_at=now, timestamp=1e9 + now))
    return made


def next_list(before: ListedProcesses, now: tuple[DeviceProcess, ...]) -> ListedProcesses:
    amounts = [row.used_bytes for row in now]
    with suppress(ValueError):
        if before.with_amounts(amounts) == now:
            return before.with_amounts(amounts)
    return ListedProcesses.of(now)


def detectors() -> EventDetectors:
    return EventDetectors(
        (50.0,),
        alive=lambda pid: pid % 2 == 0,
        exits=ProcessExits(lambda row: None),
        parent_of_zombie=lambda pid: Parent(1, "init") if pid == PIDS[0] else None,
    )


@given(steps)
def test_events_do_not_depend_on_what_is_kept(of: list[Step]) -> None:
    keeping, anew = detectors(), detectors()
    for kept, fresh in zip(course(of, shared=True), course(of, shared=False), strict=True):
        assert msgspec.to_builtins(keeping.observe(kept)) == msgspec.to_builtins(anew.observe(fresh))


@given(steps)
def test_a_listing_is_that_of_its_moment(of: list[Step]) -> None:
    listings = Listings()
    for moment in course(of, shared=True):
        assert listings.of(moment)._replace(are_moved=False) == list_processes(moment)


@settings(max_examples=10)
@given(st.lists(st.integers(1, 200), min_size=1, max_size=40))
def test_growth_and_peak_do_not_depend_on_what_is_kept(amounts: list[int]) -> None:
    """A process that grows from bucket to bucket, with other amounts in between, and ends."""
    levels = [level * GIB // 8 + used for level in range(1, 130) for used in (0, *amounts, 0)]
    of: list[Step] = [(((11, used, True),), True, 5.0 / len(amounts)) for used in levels]
    of.append(((), True, 0.5))
    keeping, anew = detectors(), detectors()
    kept = [event for moment in course(of, shared=True) for event in keeping.observe(moment)]
    assert kept == [event for moment in course(of, shared=False) for event in anew.observe(moment)]
    assert {"memory_growth", "process_exit"} <= {event.kind for event in kept}


def test_processes_that_hold_another_amount_are_the_same_object_and_say_so() -> None:
    listings = Listings()
    first, second = course([(((10, GIB, True),), True, 0.5), (((10, 2 * GIB, True),), True, 0.5)], shared=True)
    processes = listings.of(first).processes
    later = listings.of(second)
    assert later.processes is processes
    assert later.are_moved
    assert [one.row.used_bytes for one in processes.values()] == [2 * GIB]
    assert not listings.of(second).are_moved


def test_the_same_processes_are_the_same_object() -> None:
    listings = Listings()
    step: Step = (((10, GIB, True),), True, 0.5)
    first, second, third = course([step, step, (((10, GIB, True), (11, GIB, True)), True, 0.5)], shared=True)
    processes = listings.of(first).processes
    assert listings.of(second).processes is processes
    assert listings.of(third).processes is not processes
