"""Who may see what, by the rule alone."""

import pytest

from blackbox.merge import merge
from blackbox.model.event import Event, ProcessLife
from blackbox.model.parts import GivenGpus, GivenTo
from blackbox.model.status import UserStatus
from blackbox.model.visibility import (
    ANYONE,
    WITHHELD,
    WITHHELD_PODS,
    sees,
    sees_all,
    sole_owner,
    visible_event,
    visible_moment,
    visible_sources,
)
from tests import moments
from tests.moments import GIB, SERVER, TRAINER, allocator, moment, sample, status

OWNER, OTHER = 1000, 1234


@pytest.mark.parametrize(
    ("viewer", "owner", "seen"),
    [(None, OWNER, True), (None, None, True), (OWNER, OWNER, True), (OTHER, OWNER, False), (OTHER, ANYONE, True)],
)
def test_the_rule(viewer: int | None, owner: int | None, seen: bool) -> None:
    assert sees(viewer, owner) == seen


def test_what_has_no_known_owner_is_for_those_who_see_all() -> None:
    assert not sees(OWNER, None)


def test_numbers_of_the_whole_machine_belong_to_the_one_user_who_told_something() -> None:
    assert sole_owner(moment(sample((moments.device(),)))) == ANYONE
    assert sole_owner(moment()) == OWNER
    mixed = sample((moments.device(),), allocators=(allocator(TRAINER, uid=OWNER), allocator(SERVER, uid=OTHER)))
    assert sole_owner(moment(mixed)) is None


def test_a_source_names_programs_to_their_owners() -> None:
    told = (
        UserStatus(uid=OWNER, reasons=("first",), facts={"a": "x"}, cost={"seconds": 1.0}),
        UserStatus(uid=OTHER, reasons=("second",), facts={"b": "y"}, cost={"seconds": 2.0}),
    )
    whole = moment(
        sample((), source="engines", state="degraded", of_users=told),
        sources=(status(name="engines", state="degraded", cost={"visits": 3.0}, facts={}),),
    )
    for viewer, reason, facts, cost in (
        (None, "first; second", {"a": "x", "b": "y"}, {"visits": 3.0, "seconds": 3.0}),
        (OWNER, "first", {"a": "x"}, {"visits": 3.0, "seconds": 1.0}),
        (OTHER, "second", {"b": "y"}, {"visits": 3.0, "seconds": 2.0}),
        (4321, WITHHELD, {}, {"visits": 3.0}),
    ):
        (seen,) = visible_sources(whole, viewer)
        assert (seen.reason, seen.facts, seen.cost) == (reason, facts, cost)


def test_a_late_source_says_that_it_is_late() -> None:
    whole = moment(
        sample((), source="engines", of_users=(UserStatus(uid=OWNER, reasons=("first",)),)),
        sources=(status(name="engines", state="stale", reason="no answer for 9 s"),),
    )
    assert visible_sources(whole, None)[0].reason == "no answer for 9 s"


def test_how_a_process_ended_is_its_owners_business() -> None:
    life = ProcessLife(
        name="python",
        start_time=None,
        used_bytes=GIB,
        peak_used_bytes=2 * GIB,
        peak_at=None,
        ended="killed",
        signal=9,
        exit_code=None,
    )
    for kind, message in (("crash", "python (pid 7) died; it held 1.0 GiB"), ("process_exit", "held 2.0 GiB at most")):
        event = Event(kind=kind, timestamp=1.0, message="killed by SIGKILL", pid=7, uid=OWNER, process=life)  # type: ignore[arg-type]
        assert visible_event(event, OWNER) == visible_event(event, None) == event
        seen = visible_event(event, OTHER)
        assert message in seen.message
        assert seen.process is not None
        assert (seen.process.ended, seen.process.signal) == ("unknown", None)


@pytest.mark.parametrize("name", ["python", "a (b; c"])
def test_where_a_process_was_is_for_everyone(name: str) -> None:
    life = ProcessLife(
        name=name, start_time=None, used_bytes=GIB, peak_used_bytes=GIB, peak_at=None, ended="killed", signal=9
    )
    told = f"{name} (pid 7) no longer uses GPU 2 / MIG 1"
    for manner in ("", " (killed by SIGKILL)"):
        message = f"{told}{manner}; held 1.0 GiB at most"
        event = Event(kind="process_exit", timestamp=1.0, message=message, pid=7, uid=OWNER, process=life)
        assert visible_event(event, OTHER).message == f"{told}; held 1.0 GiB at most"


def test_what_the_driver_told_of_a_process_is_for_everyone() -> None:
    event = Event(kind="process_start", timestamp=1.0, message="began to use GPU 0", pid=7, uid=OWNER)
    assert visible_event(event, OTHER) == event


GIVEN = GivenGpus(containers={"GPU-0": (GivenTo(namespace="ml", pod="train-0", container="main"),)})


def test_names_of_pods_that_the_kubelet_told_are_for_those_who_see_all() -> None:
    whole = moment(sample((moments.device(0), moments.device(1))), sample((), source="kubelet", given=GIVEN))
    assert not sees_all(whole, OWNER)
    for viewer, given_to, unknown in ((None, GIVEN.containers["GPU-0"], None), (OWNER, None, WITHHELD_PODS)):
        for seen in (merge(whole, viewer_uid=viewer), merge(visible_moment(whole, viewer))):
            first, second = seen.gpus
            assert (first.given_to, first.unknown.get("given_to")) == (given_to, unknown)
            assert (
                (second.given_to, second.unknown.get("given_to")) == ((), None) if viewer is None else (None, unknown)
            )


def test_that_nothing_was_given_is_for_everyone() -> None:
    whole = moment(sample((moments.device(0),)), sample((), source="kubelet", given=GivenGpus()))
    assert sees_all(whole, OWNER)
    assert merge(whole, viewer_uid=OWNER).gpus[0].given_to == ()
