"""Memory of the dead out of moments: told once it is certain, and of nobody who may be alive."""

from typing import Any

import pytest

from blackbox.events import EventDetectors
from blackbox.events.orphans import CERTAIN_SECONDS, LOOK_SECONDS, Parent, is_alive
from blackbox.model.event import Event
from blackbox.model.parts import DeviceProcess
from tests.detecting import HOST, at, detector, kinds
from tests.moments import GIB, TIMESTAMP, process


def orphan(pid: int = 7, **changes: Any) -> DeviceProcess:
    return process(pid, name=None, start_time=None, user=None, uid=None, **changes)


def test_memory_of_the_dead_is_told_once_when_it_is_certain() -> None:
    watching = detector()
    assert watching.observe(at(0, None, orphan())) == []
    assert watching.observe(at(CERTAIN_SECONDS - 1, None, orphan())) == []
    (event,) = watching.observe(at(CERTAIN_SECONDS, None, orphan()))
    assert (event.kind, event.pid, event.gpu_uuid) == ("memory_orphaned", 7, "GPU-0")
    assert event.message == "6.0 GiB on GPU 0 belong to pid 7, which no longer lives"
    assert watching.observe(at(CERTAIN_SECONDS + 1, None, orphan())) == []


@pytest.mark.parametrize(
    ("row", "facts", "living"),
    [
        (orphan(), {"pid_scope": "namespace"}, []),
        (orphan(), {}, []),
        (orphan(), HOST, [7]),
        (orphan(used_bytes=0), HOST, []),
        (orphan(used_bytes=None), HOST, []),
        (process(7), HOST, []),
    ],
    ids=["another namespace", "namespace unknown", "hidden by /proc", "holds nothing", "unknown", "named"],
)
def test_nobody_else_is_called_dead(row: DeviceProcess, facts: dict[str, str], living: list[int]) -> None:
    watching = detector(living=living)
    for seconds in (0, CERTAIN_SECONDS, 2 * CERTAIN_SECONDS):
        assert watching.observe(at(seconds, None, row, facts=facts)) == []


def zombies(*pids: int) -> EventDetectors:
    """Every process is there to be seen; of these, no more than that."""
    return EventDetectors(alive=lambda _: True, parent_of_zombie=lambda pid: Parent(3, "bash") if pid in pids else None)


def test_memory_of_a_zombie_is_told_once_with_the_parent_to_look_at() -> None:
    watching = zombies(7)
    found: list[Event] = []
    for seconds in range(30):
        found += watching.observe(at(seconds, None, process(7, name="train", used_bytes=GIB), process(8)))
    (event,) = found
    assert (event.kind, event.pid, event.timestamp) == ("memory_orphaned", 7, TIMESTAMP + CERTAIN_SECONDS)
    assert event.message == (
        "1.0 GiB on GPU 0 belong to train (pid 7), a zombie: it is dead, and bash (pid 3) has not waited for it"
    )
    assert event.process is not None
    assert (event.process.name, event.process.start_time) == ("train", process(7).start_time)


def test_a_zombie_whose_memory_is_given_back_in_time_is_not_told() -> None:
    watching = zombies(7)
    for seconds in range(30):
        rows = [process(7)] if seconds < CERTAIN_SECONDS else []
        assert "memory_orphaned" not in kinds(watching.observe(at(seconds, None, *rows)))


@pytest.mark.parametrize("scope", [{"pid_scope": "namespace"}, {"pid_scope": "simulated"}, {}])
def test_of_pids_of_another_namespace_no_zombie_is_known(scope: dict[str, str]) -> None:
    watching = zombies(7)
    for seconds in (0, LOOK_SECONDS, CERTAIN_SECONDS, 3 * CERTAIN_SECONDS):
        assert watching.observe(at(seconds, None, process(7), facts=scope)) == []


def test_a_process_that_ends_between_two_looks_is_no_orphan() -> None:
    watching = detector()
    watching.observe(at(0, None, process(7)))
    assert watching.observe(at(1, None, orphan())) == []
    assert kinds(watching.observe(at(2))) == ["process_exit"]
    assert watching.observe(at(2 * CERTAIN_SECONDS)) == []


def test_every_process_that_is_there_is_alive_and_no_other() -> None:
    assert is_alive(1)
    assert not is_alive(2**22 + 1)  # above the kernel's largest pid
