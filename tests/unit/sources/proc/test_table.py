"""The processes of a machine, read when they are new and then in turn."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.proc.table import TURN_SECONDS, ProcessTable
from tests.clocks import ManualClock

PIDS = range(2, 8)
Machine = dict[int, tuple[int, int, str]]
"""pid -> parent, start and name."""


def write(root: Path, before: Machine, now: Machine) -> None:
    for pid in before.keys() - now.keys():
        (root / str(pid) / "stat").unlink()
        (root / str(pid)).rmdir()
    for pid, (parent, start, name) in now.items():
        (root / str(pid)).mkdir(exist_ok=True)
        rest = ["S", str(parent), str(pid), "1", *["0"] * 15, str(start), *["0"] * 32]
        (root / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(rest)}\n")


pids = st.sampled_from(PIDS)
machines = st.dictionaries(pids, st.tuples(st.sampled_from((0, 1, *PIDS)), st.integers(1, 2), st.sampled_from("ab")))


@given(st.lists(st.tuples(machines, st.sets(pids), st.sampled_from((0.0, 1.0, TURN_SECONDS / 2))), max_size=6))
def test_what_is_asked_for_and_what_had_its_turn_is_as_a_new_look_would_see_it(
    steps: list[tuple[Machine, set[int], float]],
) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        table = ProcessTable(root, clock)
        before: Machine = {}
        for machine, fresh, seconds in steps:
            write(root, before, machine)
            before = machine
            clock.advance(seconds)
            table.read_some()
            listed, anew = dict(table.list(fresh)), dict(ProcessTable(root).list())
            assert listed.keys() == anew.keys()
            for pid in fresh & listed.keys():
                assert listed[pid] == anew[pid]
                if (parent := anew[pid].parent) > 1 and parent in anew:
                    assert listed[parent] == anew[parent]
        clock.advance(TURN_SECONDS)
        table.read_some()
        assert dict(table.list()) == dict(ProcessTable(root).list())


def test_whose_parent_has_gone_is_read_at_once(tmp_path: Path) -> None:
    table = ProcessTable(tmp_path, ManualClock())
    before: Machine = {2: (1, 1, "a"), 3: (2, 1, "a"), 4: (1, 1, "a")}
    write(tmp_path, {}, before)
    table.list()
    write(tmp_path, before, {3: (1, 1, "b"), 4: (1, 1, "b")})
    assert {pid: entry.name for pid, entry in table.list().items()} == {3: b"b", 4: b"a"}


def test_each_call_reads_its_share(tmp_path: Path) -> None:
    clock = ManualClock()
    table = ProcessTable(tmp_path, clock)
    before: Machine = dict.fromkeys(range(2, 42), (1, 1, "a"))
    write(tmp_path, {}, before)
    table.list()
    write(tmp_path, before, dict.fromkeys(before, (1, 1, "b")))
    seen: list[int] = []
    for _ in range(4):
        clock.advance(TURN_SECONDS / 4)
        table.read_some()
        seen.append(sum(entry.name == b"b" for entry in table.list().values()))
    assert seen == [10, 20, 30, 40]


def test_who_lists_each_time_sees_what_has_become_another_program(tmp_path: Path) -> None:
    clock = ManualClock()
    table = ProcessTable(tmp_path, clock)
    before: Machine = dict.fromkeys(range(2, 42), (1, 1, "a"))
    write(tmp_path, {}, before)
    table.list()
    write(tmp_path, before, dict.fromkeys(before, (1, 1, "b")))
    for _ in range(4):
        clock.advance(TURN_SECONDS / 4)
        listed = table.list()
    assert {entry.name for entry in listed.values()} == {b"b"}
