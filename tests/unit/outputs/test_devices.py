"""Devices of a moment: instances apart from GPUs, readings only while they are fresh, the largest processes first."""

from blackbox.hub import Published
from blackbox.outputs.devices import devices_of, processes
from tests.moments import TIMESTAMP, moment, sample


def published() -> Published:
    return Published(moment(), 1000)


def test_gpus_and_instances_stand_apart() -> None:
    found = devices_of(published(), True, None)
    assert found.gpus
    assert all(view.row.parent_uuid is None for view in found.gpus)
    assert all(view.row.parent_uuid is not None for view in found.instances)
    assert all(view.up for view in found.gpus if view.row.state == "ok")
    assert all(view.seen_at <= TIMESTAMP for view in found.gpus)


def test_what_is_stale_has_no_readings_and_no_processes() -> None:
    found = devices_of(published(), False, None)
    assert found.gpus
    assert not any(view.up for view in found.gpus)
    assert processes(found) == []


def test_the_largest_process_stands_first() -> None:
    rows = [row for _, row in processes(devices_of(published(), True, None))]
    assert rows == sorted(rows, key=lambda row: -row.used_bytes)
    assert len(rows) > 1


def test_a_machine_without_devices_has_none() -> None:
    assert devices_of(Published(moment(sample(())), 1000), True, None) == ((), ())
