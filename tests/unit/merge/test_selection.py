"""What is withheld from a viewer."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from blackbox.merge import merge
from blackbox.model.moment import Moment
from blackbox.model.visibility import sees_all
from tests.moments import machine, moment
from tests.strategies import moments

OWNER, OTHER = 1000, 1234


def of_one_user(whole: Moment) -> Moment:
    """The moment, with every process of the same user."""
    return structs.replace(
        whole,
        samples=tuple(
            structs.replace(sample, processes=tuple(structs.replace(row, uid=OWNER) for row in sample.processes))
            for sample in whole.samples
        ),
    )


@given(moments() | moments().map(of_one_user), st.sampled_from([None, 0, OWNER, OTHER]))
def test_who_sees_all_gets_the_snapshot_of_everything(whole: Moment, viewer_uid: int | None) -> None:
    if sees_all(whole, viewer_uid):
        uuids = {device.uuid for sample in whole.samples for device in sample.devices}
        for gpu in (None, *uuids):
            assert merge(whole, gpu, viewer_uid) == merge(whole, gpu)


def test_the_owner_of_every_process_sees_all() -> None:
    whole = moment()
    assert sees_all(whole, OWNER)
    assert not sees_all(whole, OTHER)
    assert sees_all(moment(structs.replace(machine(), simulated=True)), OTHER), "simulated numbers have no secrets"


def test_what_the_driver_tells_everyone_is_withheld_from_nobody() -> None:
    bare = structs.replace(machine(), allocators=(), kernels=(), engines=())
    assert sees_all(moment(bare), OTHER)


def test_a_report_of_an_unlisted_process_is_withheld() -> None:
    assert not sees_all(moment(structs.replace(machine(), processes=())), OWNER)
