"""What each process lets us see: every part is told, or missing for a reason."""

from hypothesis import given, settings
from msgspec import structs

from blackbox.merge import merged
from blackbox.merge.coverage import NO_HISTORY, NOT_TOLD, PARTS, coverage
from blackbox.merge.process_memory import NO_REPORT, OTHER_USER
from blackbox.model.about import ProcessCoverage
from blackbox.model.moment import Moment
from blackbox.model.parts import OwningStack
from tests.moments import GIB, SERVER, SILENT, TRAINER, allocator, device, machine, moment, process, sample
from tests.strategies import moments


def rows_of(seen: Moment, viewer_uid: int | None = None) -> dict[tuple[str, int], ProcessCoverage]:
    made = merged(seen, None, viewer_uid)
    snapshot, rows = made.bare, made.rows
    return {(row.gpu_uuid, row.pid): row for row in coverage(rows, snapshot.nsight_metrics)}


@settings(max_examples=60)
@given(moments())
def test_every_part_is_told_or_missing_for_a_reason(seen: Moment) -> None:
    for row in rows_of(seen).values():
        assert sorted((*row.told, *row.missing)) == sorted(PARTS)
        assert all(row.missing.values())


def test_who_reports_and_who_does_not() -> None:
    rows = rows_of(moment(machine()))
    silent, trainer = rows["GPU-0", SILENT], rows["GPU-0", TRAINER]
    assert (silent.sources, silent.told) == ((), ("used",))
    assert silent.missing["blocks"] == NO_REPORT
    assert {"used", "reserved", "blocks", "threads", "kernels"} == set(trainer.told)
    assert (trainer.missing["stacks"], trainer.missing["segments"]) == (NO_HISTORY, NOT_TOLD)
    assert "blocks" in rows["GPU-0", SERVER].told


def test_a_stranger_is_told_that_it_is_anothers() -> None:
    assert rows_of(moment(machine()), 4321)["GPU-0", TRAINER].missing["blocks"] == OTHER_USER


def test_stacks_segments_and_times_are_told_where_they_are() -> None:
    plain = allocator()
    blocks = tuple(structs.replace(block, segment=1, allocated_at=5.0) for block in plain.blocks or ())
    told = structs.replace(plain, blocks=blocks, stacks=(OwningStack(("a.py:1 f",), GIB, 1),))
    rows = rows_of(moment(sample((device(0),), (process(TRAINER),), allocators=(told,))))
    assert {"segments", "times", "stacks"} <= set(rows["GPU-0", TRAINER].told)
