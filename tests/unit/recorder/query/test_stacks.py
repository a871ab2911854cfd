"""Live memory by stack over time, out of a recording."""

from pathlib import Path

from msgspec import structs

from blackbox.model.moment import Moment
from blackbox.model.parts import AllocatorBlock, OwningStack
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.query.stacks import STACKS_MAX, StackFilter, stack_history
from tests.moments import GIB, MIB, TRAINER, allocator, device, moment, process, sample
from tests.recorded_moments import record

START = 1_799_996_400.0
ALL = StackFilter(None, None, None)


def at(second: int, *held: tuple[str, int], known: bool = True) -> Moment:
    size = 8 * GIB
    stacks = tuple(OwningStack((f"{name}.py:1 f",), bytes_, 1, "weight") for name, bytes_ in held)
    told = allocator(reserved_bytes=size, allocated_bytes=size, blocks=(AllocatorBlock(1 << 40, size, "active"),))
    told = structs.replace(told, threads=None, stacks=stacks if known else None)
    rows = [process(TRAINER, used_bytes=size)]
    return moment(sample([device()], rows, allocators=(told,)), seq=second + 1, timestamp=START + second)


def test_what_is_not_told_is_null_and_what_is_gone_is_0(tmp_path: Path) -> None:
    record(
        tmp_path,
        at(1, ("a", GIB)),
        at(2, ("a", 2 * GIB), ("b", GIB)),
        at(3, known=False),
        at(4, ("b", 3 * GIB)),
    )
    found = stack_history(Recording(tmp_path), START, START + 4, ALL, 4)
    assert found.times == (START + 1, START + 2, START + 3, START + 4)
    told = {one.frames[0][0] if one.frames else "": one.bytes for one in found.series}
    assert told["a"] == (GIB, 2 * GIB, None, 0)
    assert told["b"] == (0, GIB, None, 3 * GIB)
    assert told[""] == (7 * GIB, 5 * GIB, None, 5 * GIB), "of unknown stack"


def test_the_stacks_with_the_highest_peaks_are_told_and_the_others_counted(tmp_path: Path) -> None:
    record(tmp_path, at(1, *((f"stack{place}", place * MIB) for place in range(1, STACKS_MAX + 10))))
    found = stack_history(Recording(tmp_path), START, START + 2, ALL, 10)
    assert len(found.times) == 1, "the same moment once"
    assert (len(found.series), found.series_omitted) == (STACKS_MAX, 10)
    assert found.series[1].bytes == ((STACKS_MAX + 9) * MIB,)


def test_nothing_recorded_is_an_empty_answer(tmp_path: Path) -> None:
    found = stack_history(Recording(tmp_path / "none"), START, START + 2, ALL, 10)
    assert (found.times, found.series) == ((), ())
