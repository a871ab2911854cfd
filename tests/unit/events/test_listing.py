"""What is kept from one moment to the next: events are the same as those found by reading every moment anew."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from blackbox.events import EventDetectors
from blackbox.events.exits import ProcessExits
from blackbox.events.listing import Listings, list_processes
from blackbox.events.orphans import Parent
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
    """The moments; `shared`: equal lists of processes are one object, as the sources hand them on."""
    known: dict[tuple[Row, ...], tuple[DeviceProcess, ...]] = {}
    made: list[Moment] = []
    now = 100.0
    for number, (told, is_read, seconds) in enumerate(of):
        now += seconds
        listed = known.setdefault(told, rows(told)) if shared else rows(told)
        gpu = device(0, state="ok" if is_read else "failed", reason=None if is_read else "it fails")
        one = sample((gpu,), listed, facts={"pid_scope": "host"})
        made.append(moments.moment(one, seq=number, taken_at=now, timestamp=1e9 + now))
    return made


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
        assert listings.of(moment) == list_processes(moment)


def test_the_same_processes_are_the_same_object() -> None:
    listings = Listings()
    step: Step = (((10, GIB, True),), True, 0.5)
    first, second, third = course([step, step, (((10, GIB, True), (11, GIB, True)), True, 0.5)], shared=True)
    processes = listings.of(first).processes
    assert listings.of(second).processes is processes
    assert listings.of(third).processes is not processes
