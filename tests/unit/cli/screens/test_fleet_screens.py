"""Screens about a fleet: they fit, and say first what they are not of."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blackbox.cli.common.screen import Screen
from blackbox.cli.screens import fleet, fleet_cover, fleet_lives
from blackbox.model.fleet import (
    FleetAt,
    FleetCover,
    FleetEmptyGpu,
    FleetHolder,
    FleetLedger,
    FleetLife,
    FleetMachine,
    FleetMachineAt,
    FleetMachines,
    FleetOom,
    FleetOoms,
    FleetProcess,
    FleetTop,
    FleetWaste,
    FleetWaster,
    FleetWhere,
)
from blackbox.terminal.layout import TextLine, clipped, plain, width_of
from tests.moments import GIB, TIMESTAMP

SCREEN = Screen(120, 40, 0)
sizes = st.builds(Screen, st.integers(80, 160), st.integers(23, 60), st.sampled_from([0, 16, 256]))


def texts(lines: Any) -> str:
    return "\n".join(map(plain, lines))


def cover(**changes: Any) -> FleetCover:
    fields: dict[str, Any] = {
        "whole": True,
        "machines": 3,
        "fresh": 3,
        "late": 0,
        "unknown": 0,
        "late_hosts": (),
        "unknown_hosts": (),
        "twice_hosts": (),
        "shards": 2,
        "missing_shards": (),
    }
    return FleetCover(**(fields | changes))


TORN = cover(
    whole=False,
    fresh=0,
    late=8,
    unknown=1,
    machines=9,
    late_hosts=tuple(f"gpu{number}" for number in range(8)),
    unknown_hosts=("gpu9",),
    missing_shards=("2 (db2:9000)",),
)
LEDGER = FleetLedger(
    total_bytes=80 * GIB,
    used_bytes=20 * GIB,
    free_bytes=60 * GIB,
    driver_reserved_bytes=0,
    unattributed_bytes=GIB,
    unmeasured_gpus=1,
)


def process(**changes: Any) -> FleetProcess:
    fields: dict[str, Any] = dict.fromkeys(FleetProcess.__struct_fields__)
    return FleetProcess(
        **(fields | {"tenant": "", "machine": "m", "host": "gpu1", "gpu_uuid": "G", "pid": 7} | changes)
    )


def life(**changes: Any) -> FleetLife:
    fields: dict[str, Any] = dict.fromkeys(FleetLife.__struct_fields__)
    fields |= {"tenant": "", "machine": "m", "host": "gpu1", "gpu_uuid": "G", "pid": 7}
    return FleetLife(**(fields | {"first_seen": TIMESTAMP - 600, "last_seen": TIMESTAMP - 60} | changes))


def held(machines: int, processes: int, found: FleetCover) -> FleetAt:
    rows = [
        FleetMachineAt(
            tenant="",
            machine=f"m{number}",
            host=f"gpu{number}",
            timestamp=TIMESTAMP - 30,
            gpus=1,
            processes=processes,
            ledger=LEDGER,
            omitted_processes=0,
            omitted_used_bytes=0,
        )
        for number in range(machines)
    ]
    told = tuple(process(pid=number, used_bytes=GIB) for number in range(processes))
    return FleetAt(
        asked=TIMESTAMP,
        cover=found,
        ledger=LEDGER,
        machines=tuple(rows),
        processes=told,
        processes_omitted=2,
    )


def test_what_an_answer_is_not_of_is_said_before_its_numbers() -> None:
    lines = list(fleet.at_lines(held(2, 2, TORN), SCREEN))
    text = texts(lines)
    assert "9 machines: 0 fresh, 8 late (gpu0, gpu1, gpu2, gpu3, gpu4 and 3 more), 1 unknown (gpu9)." in text
    assert "1 of 2 shards did not answer: 2 (db2:9000). Their machines are not counted, and in no sum here." in text
    assert "Of 1 GPU nobody measured the memory: in no sum here." in text
    assert text.index("did not answer") < text.index("MACHINE ")
    whole = texts(fleet.at_lines(held(2, 2, cover()), SCREEN))
    assert "3 machines: 3 fresh." in whole
    assert "did not answer" not in whole


@given(st.integers(0, 60), st.integers(0, 60), sizes)
def test_a_fleet_of_any_size_fits_the_screen(machines: int, processes: int, screen: Screen) -> None:
    lines = list(fleet.at_lines(held(machines, processes, TORN), screen))
    assert len(lines) <= screen.height
    text = texts(lines)
    shown = sum("gpu" in plain(line).split("  ")[0] for line in lines)
    assert shown >= min(machines, 1)
    assert ("more: --json" in text) == bool(machines)  # two processes are beyond the limit


def test_unknown_sizes_and_names_are_not_nothing() -> None:
    answer = held(1, 0, cover())
    rows = (process(used_bytes=None, slurm_job="7"), process(namespace="ml", pod="train"), process(pod_uid="u"))
    answer = FleetAt(**{key: getattr(answer, key) for key in answer.__struct_fields__} | {"processes": rows})
    text = texts(fleet.at_lines(answer, SCREEN))
    assert "n/a" in text
    assert "slurm 7" in text
    assert "ml/train" in text
    assert "pod u" in text
    assert " 0.0" not in text


def test_holders_have_their_sum_below_them() -> None:
    def holder(name: str | None, **changes: Any) -> FleetHolder:
        fields = {"processes": 3, "gpus": 2, "machines": 1, "used_bytes": GIB, "silent": 2}
        return FleetHolder(name=name, **{"reserved_bytes": None, "allocated_bytes": None, **fields, **changes})

    found = FleetTop(
        asked=TIMESTAMP, by="slurm_job", cover=cover(), holders=(holder("7"), holder(None)), all=holder(None)
    )
    lines = texts(fleet.top_lines(found, SCREEN)).splitlines()
    assert lines[3].startswith("JOB ")
    assert lines[5].startswith("(not known)")
    assert lines[6].startswith("all ")
    assert "2 processes tell nothing of an allocator" in lines[-1]


def waste(**changes: Any) -> FleetWaste:
    fields: dict[str, Any] = {
        "since": TIMESTAMP - 3600,
        "until": TIMESTAMP,
        "by": "user",
        "cover": cover(),
        "wasters": (),
        "silent_processes": 0,
        "allocations": 0,
        "empty": (),
    }
    return FleetWaste(**(fields | changes))


def test_waste_says_what_nobody_knows() -> None:
    text = texts(fleet.waste_lines(waste(silent_processes=1), SCREEN))
    assert "None, of processes whose allocators tell." in text
    assert "1 process tells nothing of an allocator" in text
    assert "No scheduler tells this database what it gives" in text
    assert "None of 3 GPUs." in texts(fleet.waste_lines(waste(allocations=3), SCREEN))


def test_waste_has_its_two_tables() -> None:
    waster = FleetWaster(name=None, processes=2, machines=1, held_byte_hours=8.0 * GIB, never_used_byte_hours=6.0 * GIB)
    empty = FleetEmptyGpu(
        tenant="",
        host="gpu1",
        gpu_uuid="GPU-1",
        scheduler="slurm",
        job="7",
        user=None,
        since=TIMESTAMP,
        until=None,
        empty_minutes=50,
        seen_minutes=60,
    )
    text = texts(fleet.waste_lines(waste(wasters=(waster,), allocations=1, empty=(empty,)), SCREEN))
    assert "(not known)         1          2   8.0         6.0   75 %" in text
    assert "slurm 7" in text
    assert "50      60" in text


def test_lives_have_an_end_where_it_was_seen() -> None:
    rows = (life(ended="killed", signal=9, ended_at=TIMESTAMP), life(used_bytes=GIB, ended="orderly"), life())
    found = FleetWhere(
        what="7",
        matched=("slurm_job", "user"),
        since=TIMESTAMP - 3600,
        until=TIMESTAMP,
        cover=cover(),
        lives=rows,
        omitted=3,
    )
    text = texts(fleet_lives.where_lines(found, SCREEN))
    assert "Slurm job and user" in text
    assert "killed (SIGKILL)" in text
    assert "… 3 processes more: --limit shows them" in text
    nothing = FleetWhere(
        what="x", matched=(), since=TIMESTAMP - 60, until=TIMESTAMP, cover=cover(), lives=(), omitted=0
    )
    assert "nothing by that name" in texts(fleet_lives.where_lines(nothing, SCREEN))


def test_out_of_memories_are_counted_beyond_the_limit() -> None:
    fields: dict[str, Any] = dict.fromkeys(FleetOom.__struct_fields__)
    fields |= {"tenant": "", "machine": "m", "host": "gpu1", "timestamp": TIMESTAMP - 60, "event_id": 41}
    rows = (FleetOom(**fields | {"namespace": "ml", "pod": "p", "requested_bytes": GIB}), FleetOom(**fields))
    found = FleetOoms(since=TIMESTAMP - 3600, until=TIMESTAMP, cover=cover(), ooms=rows, omitted=1)
    text = texts(fleet_lives.oom_lines(found, SCREEN))
    assert text.startswith("3 out-of-memories")
    assert "ml/p" in text
    none = FleetOoms(since=TIMESTAMP - 3600, until=TIMESTAMP, cover=cover(), ooms=(), omitted=0)
    assert texts(fleet_lives.oom_lines(none, SCREEN)).startswith("0 out-of-memories")


def test_machines_say_how_far_they_are_behind() -> None:
    def machine(host: str, state: str, shipped: float | None, simulated: bool = False) -> FleetMachine:
        return FleetMachine(
            tenant="",
            machine="m",
            host=host,
            version="1.0",
            state=state,
            shipped_until=shipped,
            ahead_since=None,
            ahead_until=None,
            recorded_until=None,
            gaps=0,
            updated=TIMESTAMP,
            simulated=simulated,
        )

    rows = (machine("new", "unknown", None), machine("demo", "late", TIMESTAMP - 3600, simulated=True))
    text = texts(fleet_lives.machine_lines(FleetMachines(asked=TIMESTAMP, cover=cover(), machines=rows), SCREEN))
    assert "never shipped" in text
    assert "demo (simulated)" in text
    assert "1 h" in text
    assert "… 1 machine more" in text


def test_columns_are_as_wide_as_what_is_in_them_and_names_are_harmless() -> None:
    lines: list[TextLine] = list(fleet_cover.table(("A", " B"), [("x\x1b[2J", "1"), ("long" * 30, "22")], SCREEN))
    assert "\x1b" not in texts(lines)
    assert all(width_of(clipped(line, 60)) <= 60 for line in lines)
    assert plain(lines[1]).endswith(" 1")
