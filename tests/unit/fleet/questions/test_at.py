"""What rows of a time come to: nulls stay unknown, and rows that are missing are noticed."""

from typing import Any

import pytest

from blackbox.fleet.questions.at import HOLDERS, KEY_EXPRESSIONS, MACHINES, TOGETHER, at, top
from blackbox.fleet.questions.cover import GRACE_SECONDS, STALE_SECONDS
from blackbox.fleet.schema import OWNER_KEYS
from blackbox.model.holder import HOLDER_KEYS
from tests.unit.fleet.scripted_reader import NOW, ScriptedReader, machine

LEDGER = {"total_bytes_sum": 80, "used_bytes_sum": 9, "free_bytes_sum": 71, "driver_reserved_bytes_sum": 0}


def gpu(host: str, listed: int | None, **changes: Any) -> dict[str, Any]:
    fields = {"tenant": "", "machine": f"id-{host}", "host_name": host, "taken": NOW - 60, "whole": 1, "listed": listed}
    return fields | LEDGER | {"unattributed": 1, "unmeasured": 0, "omitted": 0, "omitted_used": 0} | changes


def process(host: str, pid: int, used: int | None, place: int, found: int) -> dict[str, Any]:
    fields = {"tenant": "", "machine": f"id-{host}", "host": host, "gpu": 0, "gpu_uuid": "GPU-0", "pid": pid}
    fields |= {"place": place, "found": found}
    sizes = {"used_bytes": used, "reserved_bytes": None, "allocated_bytes": None}
    return fields | dict.fromkeys(OWNER_KEYS) | {"start": None, "name": None} | sizes


def rows(**more: Any) -> dict[str, list[dict[str, Any]]]:
    return {
        "AS listed": more.get("gpus", [gpu("a", 2), gpu("b", 1)]),
        "AS found": [process("a", 1, 5, 1, 2), process("a", 2, 4, 2, 2), process("b", 3, None, 3, 1)],
        "FROM machine FINAL": [machine("a"), machine("b")],
    }


def test_sums_are_of_all_machines_and_rows_beyond_the_limit_are_counted() -> None:
    found = at(ScriptedReader(rows()), NOW, limit=2)
    assert found.cover.whole
    assert (found.ledger.total_bytes, found.ledger.used_bytes, found.ledger.unattributed_bytes) == (160, 18, 2)
    assert [one.used_bytes for one in found.processes] == [5, 4]
    assert [one.processes for one in found.machines] == [2, 1], "one whose processes are all beyond the limit, too"
    assert found.processes_omitted == 1
    assert found.machines[0].timestamp == NOW - 60


@pytest.mark.parametrize(("listed", "omitted", "late"), [(3, 0, ("a",)), (3, 1, ()), (None, 0, ()), (1, 0, ())])
def test_fewer_rows_than_a_gpu_lists_make_a_machine_late(listed: int | None, omitted: int, late: tuple[str]) -> None:
    answers = rows(gpus=[gpu("a", listed, omitted=omitted), gpu("b", 1)])
    assert at(ScriptedReader(answers), NOW).cover.late_hosts == late


def test_what_nobody_measured_is_counted_and_not_nothing() -> None:
    gpus = [gpu("a", 2, unattributed=None, unmeasured=2), gpu("b", 1)]
    found = at(ScriptedReader(rows(gpus=gpus)), NOW)
    assert (found.ledger.unattributed_bytes, found.ledger.unmeasured_gpus) == (None, 2)
    assert {one.host: one.ledger.unattributed_bytes for one in found.machines} == {"a": None, "b": 1}


def test_a_machine_without_numbers_of_that_time_is_unknown() -> None:
    found = at(ScriptedReader(rows(gpus=[gpu("b", 1)])), NOW)
    assert found.cover.unknown_hosts == ("a",)
    nothing = at(ScriptedReader({}), NOW)
    assert (nothing.machines, nothing.ledger.total_bytes, nothing.cover.machines) == ((), 0, 0)


def test_numbers_of_the_past_are_of_that_time_and_those_of_now_as_new_as_they_can_be() -> None:
    for asked, since in ((NOW - 86_400, NOW - 86_400), (NOW, NOW - GRACE_SECONDS)):
        reader = ScriptedReader(rows())
        at(reader, asked)
        parameters = reader.asked[0][1]
        assert parameters["since_ms"] == round((since - STALE_SECONDS) * 1000)
        assert parameters["until_ms"] == round(asked * 1000)


def test_holders_keep_what_is_not_known_apart() -> None:
    sums = {"processes": 3, "gpus": 2, "machines": 1, "silent": 1, "sum_used_bytes": 9}
    silent = sums | {"sum_reserved_bytes": None, "sum_allocated_bytes": None}
    apart = {"holder": None, "of_tenant": "", "of_machine": "id-a"} | silent
    sets = [apart | {"kind": kind} for kind in (HOLDERS, MACHINES, TOGETHER)]
    answers = {"AS holder": sets} | rows()
    found = top(ScriptedReader(answers), NOW, "user")
    assert [(one.name, one.used_bytes, one.reserved_bytes) for one in found.holders] == [(None, 9, None)]
    assert (found.by, found.all.silent) == ("user", 1)


def test_all_that_processes_can_be_gathered_by_has_an_expression() -> None:
    assert set(KEY_EXPRESSIONS) == set(HOLDER_KEYS)
